import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { resolveSettings } from '#core'
import { buildPlugin } from '#kit'
import { foundAt, openPlugin, type OpenPlugin, type PluginPolicy, pluginPolicySettings } from '#plugin'
import type { DragonflyPluginInit, ResourceClient } from '#source'

type Options = Readonly<Record<string, unknown>>

/** An example of this repository as its users get it: built to one file. */
export interface Built {
  readonly file: string
  /** The directory of the file, which holds nothing else. */
  readonly dir: string
  /** Its client in this process, without a host around it. */
  client(options: Options): Promise<ResourceClient>
  /** As a host opens it: in a process of its own that may do nothing but talk to the network. */
  open(options: Options, env?: NodeJS.ProcessEnv): Promise<OpenPlugin>
}

const policy: PluginPolicy = resolveSettings(pluginPolicySettings, [])

export async function buildExample(name: string, out: string): Promise<Built> {
  const dir = join(import.meta.dirname, '../../examples', name)
  const { file, name: scheme, warnings } = await buildPlugin({ dir, out })
  if (warnings.length > 0) throw new Error(warnings.join('\n'))
  return {
    file,
    dir: out,
    async client(options) {
      const module = (await import(pathToFileURL(file).href)) as { DragonflyPluginInit: DragonflyPluginInit }
      return (await module.DragonflyPluginInit(options)).client
    },
    async open(options, env) {
      const how = {
        options: { [scheme]: options },
        policy,
        warn: () => undefined,
        ...(env === undefined ? {} : { env }),
      }
      return await openPlugin(await foundAt(file), how)
    },
  }
}

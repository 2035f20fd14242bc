import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { afterAll, onTestFinished } from 'vitest'
import { resolveSettings } from '#core'
import type { ResourceClient, SourceRequest } from '#source'
import type * as Host from './index.ts'
import { type PluginPolicy, pluginPolicySettings } from './settings.ts'

/** This component with another version of the contract: a host of another release. */
export async function hostOfRelease(apiVersion: string): Promise<typeof Host> {
  const root = join(import.meta.dirname, '../..')
  const dir = await mkdtemp(join(root, 'node_modules/.plugin-host-'))
  afterAll(() => rm(dir, { recursive: true }))
  const outfile = join(dir, 'host.mjs')
  await build({
    entryPoints: [join(import.meta.dirname, 'index.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    plugins: [anotherContract(apiVersion)],
  })
  await copyFile(join(root, 'dist/plugin-child.mjs'), join(dir, 'plugin-child.mjs'))
  const host: typeof Host = await import(pathToFileURL(outfile).href)
  return host
}

function anotherContract(apiVersion: string): Plugin {
  return {
    name: 'another-contract',
    setup(build) {
      build.onLoad({ filter: /source\/contract\.ts$/ }, async ({ path }) => {
        const contents = (await readFile(path, 'utf8')).replace(/API_VERSION = '.*'/, `API_VERSION = '${apiVersion}'`)
        return { contents, loader: 'ts' }
      })
    },
  }
}

/** The policy of a host that nobody configured, but quicker. */
export function policyOf(changes: Partial<PluginPolicy> = {}): PluginPolicy {
  const defaults = resolveSettings(pluginPolicySettings, [])
  return { ...defaults, startTimeout: 10_000, drainTimeout: 100, ...changes }
}

/** A directory with these files in it, gone after the test. */
export async function dirWith(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dragonfly-plugins-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) await put(join(dir, name), content)
  return dir
}

export async function put(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
}

/** The text of a plugin that works, in plain JavaScript. */
export function pluginText(
  scheme: string,
  parts: { metadata?: string; client?: string; before?: string } = {},
): string {
  return `${parts.before ?? ''}
export const DragonflyPluginInit = (options) => ({
  client: ${parts.client ?? "{ download: async () => ({ body: Buffer.from('hello world') }) }"},
  metadata: ${parts.metadata ?? `{ type: 'resource', name: '${scheme}', scheme: '${scheme}' }`},
})
`
}

/** The whole body of an answer to `download`, as text. */
export async function bodyText(client: ResourceClient, request: SourceRequest): Promise<string> {
  const { body } = await client.download(request)
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

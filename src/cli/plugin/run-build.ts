import { relative } from 'node:path'
import { Failure, formatBytes } from '#core'
import { buildPlugin, type BuiltPlugin } from '#kit'
import { foundAt, inspectPlugin, type ListedPlugin, type PluginOptions, renderListing } from '#plugin'
import { keepStdout, printLine } from '../own-stdout.ts'
import { pluginSettingsOf } from '../plugin-settings.ts'
import type { BuildFlags } from './build-command.ts'

export async function runBuild(dir: string, flags: BuildFlags): Promise<void> {
  keepStdout()
  const { options, policy } = pluginSettingsOf(flags)
  const { out, scheme, vendor } = flags
  const built = await buildPlugin({
    dir,
    ...(out === undefined ? {} : { out }),
    ...(scheme === undefined ? {} : { scheme }),
    ...(vendor === undefined ? {} : { vendor }),
  })
  for (const warning of built.warnings) tell(`warning: ${warning}`)
  tell(`built ${relative(process.cwd(), built.file)} (${formatBytes(built.bytes)})`)
  if (!flags.check) return
  const found = await foundAt(built.file)
  report(built, await inspectPlugin(found, { options, policy, warn: tell }), options)
}

/** A plugin that hosts would refuse is no success. One that only waits for its options is. */
function report(built: BuiltPlugin, listed: ListedPlugin, options: PluginOptions): void {
  if (listed.state === 'good') {
    const dir = { path: built.file, given: true }
    const [line = ''] = renderListing([{ dir, plugins: [listed], others: [] }]).stdout
    return printLine(line)
  }
  if (listed.state === 'unused') return tell(`note: ${listed.reason}`)
  const { code, reason } = listed
  const given = Object.hasOwn(options, built.name)
  const flag = `--plugin-option ${built.name}.key=value`
  if (code === 'config.invalid' && !given && reason.startsWith(`plugins.${built.name}`))
    return tell(`note: not checked further, for it needs options: ${reason}; give them with ${flag}`)
  const hint = !given && reason.startsWith('DragonflyPluginInit failed') ? `; if it needs options, give ${flag}` : ''
  throw new Failure(code, `plugin ${relative(process.cwd(), built.file)}: ${reason}${hint}`)
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}

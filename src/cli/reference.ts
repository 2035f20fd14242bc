import type { Command, Option } from 'commander'
import { type Declarations, FAILURES, flattenSettings, type Setting } from '#core'
import { daemonMetrics } from '#daemon'
import { evaluatorMetrics, pluginMetrics } from '#plugin'
import type { MetricTable } from '#runtime'
import { schedulerMetrics } from '#scheduler'
import { DAEMON_ALIASES, daemonTree, MAP_FLAGS, schedulerTree } from './daemon-settings.ts'
import { PROGRAMS, type Program, wholeProgram } from './programs.ts'
import { flagName } from './setting-flags.ts'

const GENERATED = '<!-- Written by `npm run docs`; a test keeps it so. -->'

/** The reference pages, by file name: what the tables in the code say. */
export async function referencePages(): Promise<Readonly<Record<string, string>>> {
  return {
    'settings.md': settingsPage(),
    'failures.md': failuresPage(),
    'cli.md': await cliPage(),
    'metrics.md': metricsPage(),
  }
}

function settingsPage(): string {
  return page(
    '# Settings',
    GENERATED,
    'A setting is a key in the YAML file behind `--config`, and a flag; the flag counts more. Nested keys are written with dots here. Sizes are bytes or have a unit (`20GiB`, `512k`), durations have one (`90s`, `1h30m`). A key that is not listed here is refused.',
    '## Daemon (`dfget daemon`, `dfdaemon`, `cdn`)',
    settingsTable(daemonTree),
    `Shorter flags: ${Object.entries(DAEMON_ALIASES)
      .map(([name, key]) => `\`--${name}\` is \`--${flagName(key)}\``)
      .join(', ')}. \`cdn\` presets \`seed: true\`; a daemon that \`dfget\` started has \`aliveTime: 5m\`.`,
    '## Scheduler (`scheduler`)',
    settingsTable(schedulerTree),
  )
}

function settingsTable(declarations: Declarations): string {
  const rows = flattenSettings(declarations).map(([key, setting]) => [
    `\`${key}\``,
    flagOf(key, setting),
    setting.choices === undefined ? setting.kind : setting.choices.join(' \\| '),
    defaultOf(setting),
    cell(setting.help),
  ])
  return table(['key', 'flag', 'kind', 'default', 'meaning'], rows)
}

function flagOf(key: string, setting: Setting<unknown>): string {
  if (setting.kind !== 'map') return `\`--${flagName(key)}\``
  const flag = MAP_FLAGS[key]
  return flag === undefined ? '(file only)' : `\`${flag}\``
}

function defaultOf(setting: Setting<unknown>): string {
  const written = setting.format(setting.default)
  return written === '' ? '' : `\`${written}\``
}

function failuresPage(): string {
  const rows = Object.entries(FAILURES).map(([code, { exit, retry, help }]) => [
    `\`${code}\``,
    String(exit),
    retry ? 'yes' : 'no',
    cell(help),
  ])
  return page(
    '# Failures and exit codes',
    GENERATED,
    'Every failure that can be foreseen has a code. `dfget` tells what happened, what lies behind it and what can be done, and ends with the exit code of this table; 0 is success. "Again" says whether the same call may succeed later without a change.',
    table(['code', 'exit', 'again', 'what can be done'], rows),
  )
}

function metricsPage(): string {
  const rows = (metrics: MetricTable): string[][] =>
    Object.entries(metrics).map(([name, { kind, labels, help }]) => [
      `\`${name}\``,
      kind,
      labels.join(', '),
      cell(help),
    ])
  const head = ['metric', 'kind', 'labels', 'meaning']
  return page(
    '# Metrics',
    GENERATED,
    'With `metrics.listen: host:port` each program serves `GET /metrics` in the Prometheus text form: the metrics of Node itself (`process_*`, `nodejs_*`), `dragonfly_version`, and these.',
    '## Daemon and cdn',
    table(head, rows(daemonMetrics)),
    '## Scheduler, also one embedded in a daemon',
    table(head, rows({ ...schedulerMetrics, ...evaluatorMetrics })),
    '## Plugins, in every program that has any',
    'By scheme; an evaluator counts under `evaluator`.',
    table(head, rows(pluginMetrics)),
  )
}

async function cliPage(): Promise<string> {
  const programs = Object.keys(PROGRAMS) as Program[]
  const sections = await Promise.all(programs.map(programSections))
  return page(
    '# Commands',
    GENERATED,
    'The same as `--help` of each command prints. The flags of daemon and scheduler are their settings: see [settings](settings.md). Exit codes: see [failures](failures.md).',
    ...sections.flat(),
  )
}

async function programSections(program: Program): Promise<string[]> {
  const root = await wholeProgram(program)
  const own = [`## ${program}`, sentence(root), usage(program, root), flagsTable(root)]
  const commands = table(
    ['command', ''],
    root.commands.map((command) => [`\`${program} ${command.name()}\``, cell(command.summary())]),
  )
  // What all programs share is told once, at dfget.
  const told = program === 'dfget' ? root.commands : []
  return [
    ...own,
    commands,
    ...told.flatMap((command) => [
      ...commandParts('###', program, command),
      ...command.commands.flatMap((sub) => commandParts('####', `${program} ${command.name()}`, sub)),
    ]),
  ].filter((part) => part !== '')
}

function commandParts(mark: string, above: string, command: Command): string[] {
  const name = `${above} ${command.name()}`
  return [`${mark} ${name}`, sentence(command), usage(name, command), flagsTable(command)]
}

function sentence(command: Command): string {
  return command.description()
}

function usage(name: string, command: Command): string {
  return `\`${name} ${command.usage()}\``
}

/** Flags that are settings stand on their own page. */
function flagsTable(command: Command): string {
  const settings = new Set(
    [...flattenSettings(daemonTree), ...flattenSettings(schedulerTree)].map(([key]) => flagName(key)),
  )
  const long = new Set(command.options.map((option) => option.name()))
  const isDaemon = [...settings].filter((name) => long.has(name)).length > 10
  const own = command.options.filter((option) => !option.hidden && !(isDaemon && isSetting(option, settings)))
  if (own.length === 0) return ''
  return table(
    ['flag', 'default', 'meaning'],
    own.map((option) => [`\`${option.flags}\``, defaultValue(option), cell(option.description)]),
  )
}

function isSetting(option: Option, settings: ReadonlySet<string>): boolean {
  return settings.has(option.name()) || Object.hasOwn(DAEMON_ALIASES, option.name())
}

function defaultValue({ defaultValue: value }: Option): string {
  if (value === undefined || value === false || value === '' || Array.isArray(value)) return ''
  return `\`${String(value)}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ')
}

function page(...parts: string[]): string {
  return `${parts.join('\n\n')}\n`
}

import { Command } from 'commander'
import { Failure, nearWord } from '#core'
import { versionLine } from './version-line.ts'

export type Program = 'dfget' | 'dfdaemon' | 'cdn' | 'scheduler'

interface SubCommand {
  readonly name: string
  readonly summary: string
  /** Loads what the command needs, and nothing that another one needs. */
  load(): Promise<Command>
}

interface Shape {
  /** What the program does without a sub-command. */
  load(): Promise<Command>
  readonly commands: readonly SubCommand[]
}

const plugin: SubCommand = {
  name: 'plugin',
  summary: 'list, check, install and remove plugins, and help to write them',
  load: async () => (await import('./plugin-command.ts')).pluginCommand(),
}
const version: SubCommand = {
  name: 'version',
  summary: 'print the version',
  load: async () => (await import('./version-command.ts')).versionCommand(),
}

function completion(program: Program): SubCommand {
  return {
    name: 'completion',
    summary: 'print the completion script of a shell: bash, zsh or fish',
    load: async () => (await import('./completion-command.ts')).completionCommand(program, () => wholeProgram(program)),
  }
}

async function daemon(name: string, seed: boolean): Promise<Command> {
  return (await import('./daemon-command.ts')).daemonCommand(name, { seed })
}

async function downloads(): Promise<Command> {
  const { downloadCommand } = await import('./download-command.ts')
  return downloadCommand(async (flags, url) => (await import('./run-download.ts')).runDownload(flags, url))
}

export const PROGRAMS: Readonly<Record<Program, Shape>> = {
  dfget: {
    load: downloads,
    commands: [
      { name: 'daemon', summary: 'run the daemon: the peer of this host', load: () => daemon('daemon', false) },
      plugin,
      version,
      completion('dfget'),
    ],
  },
  dfdaemon: { load: () => daemon('dfdaemon', false), commands: [plugin, version, completion('dfdaemon')] },
  cdn: { load: () => daemon('cdn', true), commands: [plugin, version, completion('cdn')] },
  scheduler: {
    load: async () => (await import('./scheduler-command.ts')).schedulerCommand(),
    commands: [plugin, version, completion('scheduler')],
  },
}

/** The command that these words ask for. Only its own code is loaded: the others stand there by name, for the help. */
export async function commandFor(program: Program, argv: readonly string[]): Promise<Command> {
  const shape = PROGRAMS[program]
  const wanted = argv[0] === 'help' ? argv[1] : argv[0]
  const found = shape.commands.find((command) => command.name === wanted)
  if (found === undefined) refuseSlip(program, argv[0])
  const root = await shape.load()
  root.enablePositionalOptions().helpCommand(true).version(versionLine(), '--version', 'print the version')
  for (const command of shape.commands) {
    const loaded = command === found ? await command.load() : stub(program, command.name)
    root.addCommand(loaded.summary(command.summary))
  }
  return root
}

/** A word that is neither a URL nor a command is a slip; where a command is close to it, that is told. */
function refuseSlip(program: Program, word: string | undefined): void {
  if (word === undefined || !/^[a-z-]+$/i.test(word) || word.startsWith('-') || word === 'help') return
  const meant = nearWord(word, ['help', ...PROGRAMS[program].commands.map(({ name }) => name)])
  if (meant === undefined) return
  throw new Failure('usage.invalid', `"${word}" is no command of ${program}: did you mean ${program} ${meant}?`)
}

/** Stands in the help; it is run only where options stand before the command. */
function stub(program: Program, name: string): Command {
  return new Command(name)
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .action(() => {
      throw new Failure('usage.invalid', `options go behind the command: write ${program} ${name} [options]`)
    })
}

/** The program with all of its commands, for the reference page and for completion. */
export async function wholeProgram(program: Program): Promise<Command> {
  const root = await PROGRAMS[program].load()
  root.version(versionLine(), '--version', 'print the version')
  for (const command of PROGRAMS[program].commands) root.addCommand((await command.load()).summary(command.summary))
  return root
}

import { Argument, Command } from 'commander'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

/** Words that can follow: those of the program itself, and those behind each of its commands. */
export interface Words {
  readonly program: string
  readonly flags: readonly Flag[]
  readonly commands: readonly SubWords[]
}

interface SubWords {
  readonly name: string
  readonly summary: string
  /** With those of the command it stands for when no further one is named. */
  readonly flags: readonly Flag[]
  readonly commands: readonly SubWords[]
}

interface Flag {
  readonly names: readonly string[]
  readonly summary: string
}

/** `whole` builds the program with all of its commands: their flags are among the words. */
export function completionCommand(program: string, whole: () => Promise<Command>): Command {
  return new Command('completion')
    .description(`Prints a script that teaches a shell the words of ${program}.`)
    .addArgument(new Argument('<shell>', 'whose script').choices(SHELLS))
    .addHelpText('after', `\nFor bash: source <(${program} completion bash)`)
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, wordsOf(program, await whole())))
    })
}

export function wordsOf(program: string, command: Command): Words {
  return { program, flags: flagsOf(command), commands: command.commands.map(subWordsOf) }
}

function subWordsOf(command: Command): SubWords {
  const [standIn] = command.commands
  return {
    name: command.name(),
    summary: command.summary(),
    flags: flagsOf(standIn ?? command),
    commands: command.commands.map(subWordsOf),
  }
}

function flagsOf(command: Command): Flag[] {
  const help = { names: ['-h', '--help'], summary: 'display help for command' }
  const visible = command.options.filter((option) => !option.hidden)
  return [
    ...visible.map(({ short, long, description }) => ({
      names: [short, long].filter((name) => name != null),
      summary: description,
    })),
    help,
  ]
}

export function completionScript(shell: Shell, words: Words): string {
  return SCRIPTS[shell](words)
}

const SCRIPTS: Readonly<Record<Shell, (words: Words) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
}

function bashScript({ program, flags, commands }: Words): string {
  const cases = commands.map((command) => `    ${command.name}) ${bashWords(command)} ;;`)
  return `# bash completion of ${program}
_${program}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    *) words="${namesOf(flags)}"
      [ "$COMP_CWORD" -eq 1 ] && words="$words ${commands.map(({ name }) => name).join(' ')}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _${program} ${program}
`
}

function bashWords({ flags, commands }: SubWords): string {
  const own = `words="${namesOf(flags)}"`
  if (commands.length === 0) return own
  const cases = commands.map((command) => `      ${command.name}) ${bashWords(command)} ;;`)
  return `case "\${COMP_WORDS[2]}" in
${cases.join('\n')}
      *) ${own}
        [ "$COMP_CWORD" -eq 2 ] && words="$words ${commands.map(({ name }) => name).join(' ')}" ;;
    esac`
}

function zshScript({ program, flags, commands }: Words): string {
  const describe = (list: readonly Flag[]): string =>
    list.flatMap(({ names, summary }) => names.map((name) => `    '${name}:${plain(summary)}'`)).join('\n')
  const namesIn = (list: readonly SubWords[]): string =>
    list.map(({ name, summary }) => `    '${name}:${plain(summary)}'`).join('\n')
  const wordsIn = ({ flags: own, commands: below }: SubWords): string => {
    if (below.length === 0) return `candidates=(\n${describe(own)}\n  )`
    const inner = below.map((command) => `  (${command.name}) ${wordsIn(command)} ;;`)
    return `case "$words[3]" in\n${inner.join('\n')}\n  (*) candidates=(\n${describe(own)}\n${namesIn(below)}\n  ) ;;\n  esac`
  }
  const cases = commands.map((command) => `  (${command.name}) ${wordsIn(command)} ;;`)
  const names = namesIn(commands)
  return `#compdef ${program}
# zsh completion of ${program}
_${program}() {
  local -a candidates
  case "$words[2]" in
${cases.join('\n')}
  (*) candidates=(
${describe(flags)}
${names}
  ) ;;
  esac
  _describe -o '${program}' candidates
  _files
}
compdef _${program} ${program}
`
}

function fishScript({ program, flags, commands }: Words): string {
  const line = (condition: string, { names, summary }: Flag): string => {
    const long = names.filter((name) => name.startsWith('--')).map((name) => ` -l ${name.slice(2)}`)
    const short = names.filter((name) => !name.startsWith('--')).map((name) => ` -s ${name.slice(1)}`)
    return `complete -c ${program} -n '${condition}'${short.join('')}${long.join('')} -d '${plain(summary)}'`
  }
  return [
    `# fish completion of ${program}`,
    ...commands.map(
      ({ name, summary }) => `complete -c ${program} -n __fish_use_subcommand -a ${name} -d '${plain(summary)}'`,
    ),
    ...flags.map((flag) => line('__fish_use_subcommand', flag)),
    ...commands.flatMap(({ name, flags: own, commands: below }) => {
      const seen = `__fish_seen_subcommand_from ${name}`
      const alone = below.length === 0 ? seen : `${seen}; and not __fish_seen_subcommand_from ${namesIn(below)}`
      return [
        ...below.map((sub) => `complete -c ${program} -n '${alone}' -a ${sub.name} -d '${plain(sub.summary)}'`),
        ...own.map((flag) => line(alone, flag)),
        ...below.flatMap((sub) =>
          sub.flags.map((flag) => line(`${seen}; and __fish_seen_subcommand_from ${sub.name}`, flag)),
        ),
      ]
    }),
    '',
  ].join('\n')
}

function namesIn(commands: readonly SubWords[]): string {
  return commands.map(({ name }) => name).join(' ')
}

function namesOf(flags: readonly Flag[]): string {
  return flags.flatMap(({ names }) => names).join(' ')
}

/** Without what a shell would read as something else. */
function plain(text: string): string {
  return text
    .replaceAll(/['"`$\\:[\]]/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, expect, test } from 'vitest'
import { completionScript, wordsOf } from './completion-command.ts'
import { commandFor, PROGRAMS, type Program, wholeProgram } from './programs.ts'

const dir = mkdtempSync(join(tmpdir(), 'programs-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const programs = Object.keys(PROGRAMS) as Program[]

async function parse(program: Program, ...argv: string[]): Promise<Command> {
  const command = await commandFor(program, argv)
  const quiet = (one: Command): void => {
    one.exitOverride().configureOutput({ outputError: () => {}, writeOut: () => {} })
    one.commands.forEach(quiet)
  }
  quiet(command)
  return command.parseAsync(argv, { from: 'user' })
}

test.each(programs)('%s refuses a flag it does not know, in each of its commands', async (program) => {
  await expect(parse(program, '--no-such-flag')).rejects.toThrow(/unknown option '--no-such-flag'/)
  for (const { name } of PROGRAMS[program].commands)
    await expect(parse(program, name, '--no-such-flag')).rejects.toThrow(/unknown option '--no-such-flag'/)
})

test.each(programs)('%s and each of its commands have a help', async (program) => {
  for (const words of [['--help'], ['help'], ...PROGRAMS[program].commands.map(({ name }) => [name, '--help'])])
    await expect(parse(program, ...words)).rejects.toMatchObject({ exitCode: 0 })
})

test('each command about plugins has a help, and refuses a flag it does not know', async () => {
  const plugin = await wholeProgram('cdn').then(({ commands }) =>
    commands.find((command) => command.name() === 'plugin'),
  )
  const names = plugin?.commands.map((command) => command.name()) ?? []
  expect(names).toEqual(['list', 'new', 'build', 'check', 'test', 'install', 'remove'])
  for (const name of names) {
    await expect(parse('cdn', 'plugin', name, '--help')).rejects.toMatchObject({ exitCode: 0 })
    await expect(parse('cdn', 'plugin', name, '--no-such-flag')).rejects.toThrow(/(unknown|required) option/)
  }
})

test.each([
  [['plugin', 'instal', 'x'], '"instal" is no command of dfget plugin: did you mean dfget plugin install?'],
  [['plugin', 'xyz'], '"xyz" is no command of dfget plugin: it has list, '],
  [['plugin', '--workhome', '/x', 'install'], 'options go behind the command: write dfget plugin install [options]'],
])('a slip in %j is told', async (argv, message) => {
  await expect(parse('dfget', ...argv)).rejects.toThrow(message)
})

test('a flag that was nearly right is told', async () => {
  await expect(parse('dfget', '--limt', '1M', 'http://h/a')).rejects.toThrow(/Did you mean --limit\?/)
})

test('options before a command are refused with the order they belong in', async () => {
  await expect(parse('dfget', '--workhome', '/x', 'daemon', '--listen', '::')).rejects.toThrow(
    'options go behind the command: write dfget daemon [options]',
  )
})

test('the help of a daemon names every setting with its default', async () => {
  const [daemon] = (await wholeProgram('dfget')).commands.filter((command) => command.name() === 'daemon')
  const help = daemon?.helpInformation().replaceAll(/\s+/g, ' ')
  expect(help).toContain('--upload-piece-port <port>')
  expect(help).toContain('(default: 4005)')
  expect(help).not.toContain('preset')
  expect(help).not.toContain('launcher')
})

/** What bash offers for a line of words, the last one of them half written. */
function offered(program: string, script: string, words: readonly string[]): string[] {
  const file = join(dir, `${program}.bash`)
  writeFileSync(
    file,
    `${script}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})\nCOMP_CWORD=${words.length - 1}\n_${program}\nprintf '%s\\n' "\${COMPREPLY[@]}"`,
  )
  const ran = spawnSync('bash', [file], { encoding: 'utf8' })
  expect(ran.stderr).toBe('')
  return ran.stdout.trim().split('\n')
}

test('bash completes the words of a program and those of its commands', async () => {
  const script = completionScript('bash', wordsOf('dfget', await wholeProgram('dfget')))
  expect(offered('dfget', script, ['dfget', 'da'])).toEqual(['daemon'])
  expect(offered('dfget', script, ['dfget', '--orig'])).toEqual(['--original-offset'])
  expect(offered('dfget', script, ['dfget', 'daemon', '--upload-pi'])).toEqual(['--upload-piece-port'])
  expect(offered('dfget', script, ['dfget', 'daemon', '--original'])).toEqual([''])
  expect(offered('dfget', script, ['dfget', 'plugin', 'ins'])).toEqual(['install'])
  expect(offered('dfget', script, ['dfget', 'plugin', '--js'])).toEqual(['--json'])
  expect(offered('dfget', script, ['dfget', 'plugin', 'install', '--sha'])).toEqual(['--sha256'])
  expect(offered('dfget', script, ['dfget', 'plugin', 'list', '--sha'])).toEqual([''])
})

test.each(['zsh', 'fish'] as const)('the script for %s has every flag, and quotes that match', async (shell) => {
  for (const program of programs) {
    const script = completionScript(shell, wordsOf(program, await wholeProgram(program)))
    for (const flag of ['workhome', 'plugin', 'version']) expect(script).toContain(flag)
    for (const line of script.split('\n')) expect(line.split("'").length % 2, line).toBe(1)
  }
})

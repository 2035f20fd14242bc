import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { endProcesses, processesNaming, programsBuilt, repository, run, type TempDir, tempDir } from '#devnet'
import { blocksOf, patternOf, runPage, stepOf } from './page.ts'
import { STORY } from './story.ts'

/** A scheduler's port, and that of the store which the guide reads from. */
const PORTS = ['8002', '9000']

for (const name of ['plugins.md', 'coming-from-go.md']) {
  test(`every block of docs/${name} works as it stands, from top to bottom`, { timeout: 300_000 }, async () => {
    const page = await readFile(join(repository, 'docs', name), 'utf8')
    await programsBuilt()
    await using dir = await tempDir('page')
    try {
      await runPage(page, dir.path, PORTS)
      expect(await typeErrors(dir)).toBe('')
      // But for the daemons of dfget, which end by themselves, and the plugins with them.
      expect(processesOf(dir.path).filter((pid) => !/\bdaemon\b|\bplugin-child\b/.test(commandLine(pid)))).toEqual([])
    } finally {
      await endProcesses(processesOf(dir.path))
    }
  })
}

test('a page is made of blocks that are run, written to a file, compared, or in a language of others', () => {
  const page = [
    '```sh\necho a\n```',
    '```js\n// a/b.mjs\nlet a\n```',
    '```text\na\n```',
    '```yaml\n# c.yaml\nd: 1\n```',
    '```go\npackage a\n```',
  ].join('\n\nText, `inline`.\n\n')
  expect(blocksOf(page).map((block) => stepOf(block).kind)).toEqual(['shell', 'file', 'output', 'file', 'shown'])
  expect(blocksOf(page).map(({ line }) => line)).toEqual([1, 7, 14, 20, 27])
  for (const stray of ['```js\nlet a\n```', '```js\n// ../a.mjs\n```', '```\na\n```']) {
    expect(() => blocksOf(stray).map(stepOf), stray).toThrow('line 1')
  }
})

test('a page that is wrong is found out', STORY, async () => {
  await using dir = await tempDir('page')
  const wrong = async (name: string, page: string): Promise<string> => {
    const folder = dir.join(name)
    return runPage(page, folder, []).then(
      () => 'it is right',
      (error: unknown) => String(error),
    )
  }
  expect(await wrong('a', '```sh\nx=1\n```\n```sh\necho $x; cd /\n```\n```text\n1\n```')).toBe('it is right')
  expect(await wrong('b', '```sh\necho one\n```\n```text\ntwo\n```')).toContain('line 4: the page says\ntwo\n')
  expect(await wrong('c', '# c\n```sh\ntrue\nfalse\ntrue\n```')).toContain('the block at line 2 failed')
  expect(await wrong('d', '```sh\nfalse # exit 1\n```')).toBe('it is right')
  expect(await wrong('e', '```sh\ntrue # exit 1\n```')).toContain('exit code 0: true')
  expect(await wrong('f', '```txt\nhow?\n```')).toContain('line 1')
})

test('… stands for what varies', () => {
  expect(patternOf('a … c\n').test('a b c\n')).toBe(true)
  expect(patternOf('a …\n').test('a b\nc\n')).toBe(false)
  expect(patternOf('a\n…\nd').test('a\nb\nc\nd\n')).toBe(true)
  expect(patternOf('a.c').test('abc\n')).toBe(false)
})

/** Of the projects that a page made: what an editor would underline. */
async function typeErrors(dir: TempDir): Promise<string> {
  const projects = (await dir.files()).filter((file) => /^here\/[^/]+\/tsconfig\.json$/.test(file))
  expect(projects.length).toBeGreaterThan(0)
  const tsc = join(repository, 'node_modules/.bin/tsc')
  const ran = await Promise.all(projects.map((file) => run(tsc, ['-p', dir.join(file)])))
  return ran.map(({ stdout }) => stdout).join('')
}

/** Those that were started in a directory, or name it. */
function processesOf(dir: string): number[] {
  const inside = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && workingDirectory(pid).startsWith(dir))
  return [...new Set([...inside.map(Number), ...processesNaming(dir)])].filter((pid) => pid !== process.pid)
}

function workingDirectory(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

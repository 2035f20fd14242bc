import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

interface Compiled {
  readonly exports: { readonly answer?: () => number; readonly beside?: () => Promise<{ default: string }> }
  readonly kept: boolean
  keep(): void
}
const { load } = createRequire(import.meta.url)('../scripts/compiled.cjs') as { load: (file: string) => Compiled }

let home: string
let script: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'compiled-test-'))
  script = join(home, 'script.cjs')
  writeScript(42)
  vi.stubEnv('HOME', home)
  vi.stubEnv('XDG_CACHE_HOME', undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(home, { recursive: true, force: true })
})

function writeScript(answer: number): void {
  const hash = answer.toString(16).padStart(64, '0')
  writeFileSync(
    script,
    `(function(require,module,importBeside){module.exports={answer:()=>${answer},beside:()=>importBeside('./b 1%.mjs')};})\n//${hash}`,
  )
  utimesSync(script, 1000, 1000)
}

/** Runs the script once more, as another process would. */
function run(): { answer: number | undefined; kept: boolean } {
  const compiled = load(script)
  const answer = compiled.exports.answer?.()
  compiled.keep()
  return { answer, kept: compiled.kept }
}

const dir = (): string => join(home, '.cache/dragonfly-ts')
const files = (): string[] => readdirSync(dir()).map((name) => join(dir(), name))
const file = (): string => files()[0] ?? ''

test('what was compiled is kept for the next run, for this user alone', () => {
  expect(run()).toEqual({ answer: 42, kept: false })
  expect(lstatSync(dir()).mode & 0o777).toBe(0o700)
  expect(files()).toHaveLength(1)
  expect(lstatSync(file()).mode & 0o777).toBe(0o600)
  expect(run()).toEqual({ answer: 42, kept: true })
})

test('what lies beside the script is imported when it is needed, also by code that was kept', async () => {
  writeFileSync(join(home, 'b 1%.mjs'), 'export default "from beside"')
  for (const kept of [false, true]) {
    const compiled = load(script)
    expect(await compiled.exports.beside?.()).toMatchObject({ default: 'from beside' })
    expect(compiled.kept).toBe(kept)
    compiled.keep()
  }
})

test('another text gets no code of this one, though it is as long', () => {
  run()
  writeScript(43)
  expect(run()).toEqual({ answer: 43, kept: false })
})

test('another file of the same name for its text gets no code of this one', () => {
  run()
  utimesSync(script, 2000, 2000)
  expect(run().kept).toBe(false)
})

test('damaged code is not run, and is mended', () => {
  run()
  const whole = readFileSync(file())
  for (const at of [0, 8, 40, whole.length / 2 - 1, whole.length / 2, whole.length - 1]) {
    const damaged = Buffer.from(whole)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    writeFileSync(file(), damaged)
    expect(run()).toEqual({ answer: 42, kept: false })
    expect(run().kept).toBe(true)
  }
  for (const length of [0, 1, 100, whole.length / 2, whole.length - 2]) {
    writeFileSync(file(), whole.subarray(0, length))
    expect(run()).toEqual({ answer: 42, kept: false })
    expect(run().kept).toBe(true)
  }
})

test('what somebody else may write is not believed', () => {
  run()
  chmodSync(file(), 0o620)
  expect(run().kept).toBe(false) // and replaced by one of our own
  expect(run().kept).toBe(true)
  chmodSync(dir(), 0o770)
  expect(run().kept).toBe(false)
  chmodSync(dir(), 0o702)
  expect(run()).toEqual({ answer: 42, kept: false })
})

test('a link in the place of the file or the directory is not followed', () => {
  run()
  const [name, other] = [file(), join(home, 'other')]
  renameSync(name, other)
  symlinkSync(other, name)
  expect(run().kept).toBe(false)
  renameSync(dir(), `${dir()}-real`)
  symlinkSync(`${dir()}-real`, dir())
  expect(run()).toEqual({ answer: 42, kept: false })
})

test.runIf(process.getuid?.() === 0)('nothing of another user is used, and nothing is left in their home', () => {
  run()
  chownSync(file(), 1000, 1000)
  expect(run().kept).toBe(false)
  rmSync(join(home, '.cache'), { recursive: true })
  chownSync(home, 1000, 1000)
  expect(run()).toEqual({ answer: 42, kept: false })
  expect(existsSync(join(home, '.cache'))).toBe(false)
})

test('without a place to keep it everything runs as well', () => {
  vi.stubEnv('HOME', '')
  expect(run()).toEqual({ answer: 42, kept: false })
  vi.stubEnv('HOME', 'relative')
  expect(run()).toEqual({ answer: 42, kept: false })
  writeFileSync(join(home, 'a-file'), '')
  vi.stubEnv('XDG_CACHE_HOME', join(home, 'a-file'))
  expect(run()).toEqual({ answer: 42, kept: false })
  vi.stubEnv('XDG_CACHE_HOME', '/proc/nowhere')
  expect(run()).toEqual({ answer: 42, kept: false })
})

test('code of versions that nobody runs any more goes after a month', () => {
  run()
  const old = join(dir(), 'v1-x64-old.v8')
  const notOurs = join(dir(), 'notes.txt')
  mkdirSync(dir(), { recursive: true })
  for (const path of [old, notOurs]) {
    writeFileSync(path, '')
    utimesSync(path, 1000, 1000)
  }
  writeScript(43)
  run()
  expect(existsSync(old)).toBe(false)
  expect(existsSync(notOurs)).toBe(true)
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { isDaemonUp, socketPath } from './daemon-socket.ts'
import { type WakeOptions, wakeDaemon } from './wake-daemon.ts'

/** Stands for the daemon: leaves a mark per start, and listens on the socket a little later. */
const STAND_IN = `
import { createServer } from 'node:net'
import { writeFileSync } from 'node:fs'
const workhome = process.argv.find((word) => word.startsWith('--workhome=')).slice('--workhome='.length)
writeFileSync(workhome + '/plugins-' + process.pid, process.env.DRAGONFLY_PLUGINS ?? 'none')
writeFileSync(workhome + '/started-' + process.pid, JSON.stringify(process.argv.slice(2)))
setTimeout(() => createServer((socket) => socket.end()).listen(workhome + '/daemon.sock'), 200)`

const built = mkdtempSync(join(tmpdir(), 'wake-built-'))
let workhome = ''

beforeAll(async () => {
  // Ten processes that wake at once have to be ten processes; this is what they run.
  await build({
    stdin: { contents: CALLER, resolveDir: import.meta.dirname, loader: 'ts' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outfile: join(built, 'caller.mjs'),
    external: ['fs-native-extensions'],
    banner: { js: 'import{createRequire as r}from"node:module";const require=r(import.meta.url);' },
    define: { 'import.meta.url': JSON.stringify(import.meta.url) },
    logLevel: 'error',
  })
})
afterAll(() => rmSync(built, { recursive: true, force: true }))

beforeEach(() => {
  workhome = mkdtempSync(join(tmpdir(), 'wake-'))
})
afterEach(() => {
  for (const pid of startedPids()) kill(pid)
  rmSync(workhome, { recursive: true, force: true })
})

const CALLER = `
import { isDaemonUp, socketPath } from './daemon-socket.ts'
import { wakeDaemon } from './wake-daemon.ts'
const [workhome, standIn] = process.argv.slice(2)
const how = await wakeDaemon({
  directories: { workhome, logdir: workhome + '/logs' },
  command: [process.execPath, standIn],
  schedulers: [], pluginDirs: [], plugins: { pluginOption: [], pluginGrant: [] }, config: undefined, verbose: false,
  isUp: () => isDaemonUp(socketPath(workhome)),
}, new AbortController().signal)
console.log(how)`

function options(more: Partial<WakeOptions> = {}): WakeOptions {
  const standIn = join(workhome, 'stand-in.mjs')
  writeFileSync(standIn, STAND_IN)
  return {
    directories: { workhome, logdir: join(workhome, 'logs') },
    command: [process.execPath, standIn],
    schedulers: [],
    pluginDirs: [],
    plugins: { pluginOption: [], pluginGrant: [] },
    config: undefined,
    verbose: false,
    isUp: () => isDaemonUp(socketPath(workhome)),
    ...more,
  }
}

function startedPids(): number[] {
  const marks = readdirSync(workhome).filter((name) => name.startsWith('started-'))
  return marks.map((name) => Number(name.slice('started-'.length)))
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended by itself
  }
}

const signal = new AbortController().signal

test('ten callers at once start one daemon, and all ten find it up', async () => {
  const { command } = options()
  const callers = Array.from({ length: 10 }, () =>
    spawn(process.execPath, [join(built, 'caller.mjs'), workhome, command[1] ?? ''], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  )
  const said = await Promise.all(
    callers.map(async (caller) => {
      let text = ''
      caller.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
      const [code] = await once(caller, 'close')
      return `${code} ${text.trim()}`
    }),
  )
  expect(said.toSorted()).toEqual(['0 started', ...Array.from({ length: 9 }, () => '0 was up')])
  expect(startedPids()).toHaveLength(1)
})

test('the daemon gets the directories, plugins, schedulers and settings that were asked for', async () => {
  const more = { schedulers: ['a:1', 'b:2'], pluginDirs: ['/p'], config: '/c.yaml', verbose: true }
  expect(await wakeDaemon(options(more), signal)).toBe('started')
  const [pid] = startedPids()
  expect(JSON.parse(readFileSync(join(workhome, `started-${pid}`), 'utf8'))).toEqual([
    'daemon',
    `--workhome=${workhome}`,
    `--logdir=${join(workhome, 'logs')}`,
    `--launcher=${process.pid}`,
    '--plugin-dir=/p',
    '--scheduler=a:1',
    '--scheduler=b:2',
    '--config=/c.yaml',
    '--verbose',
  ])
})

test('options of plugins go to the daemon over those of the environment, and not by a command line that all can read', async () => {
  vi.stubEnv('DRAGONFLY_PLUGINS', '{ Store: { password: env, region: eu }, other: { a: 1 } }')
  onTestFinished(() => void vi.unstubAllEnvs())
  const plugins = { pluginOption: ['store.password="#secret"', 'store.deep.n=2'], pluginGrant: ['store.files=/a'] }
  await wakeDaemon(options({ plugins }), signal)
  const [pid] = startedPids()
  const words = readFileSync(join(workhome, `started-${pid}`), 'utf8')
  expect(words).toContain('--plugin-grant=store.files=/a')
  expect(words).not.toContain('secret')
  expect(JSON.parse(readFileSync(join(workhome, `plugins-${pid}`), 'utf8'))).toEqual({
    store: { password: '#secret', region: 'eu', deep: { n: 2 } },
    other: { a: 1 },
  })
})

test('a daemon that is started without options of plugins has those of the environment, as they stand', async () => {
  vi.stubEnv('DRAGONFLY_PLUGINS', '{ store: { a: 1 } }')
  onTestFinished(() => void vi.unstubAllEnvs())
  await wakeDaemon(options(), signal)
  expect(readFileSync(join(workhome, `plugins-${startedPids()[0]}`), 'utf8')).toBe('{ store: { a: 1 } }')
})

test('a daemon that ends at once is told of with its last words and its log', async () => {
  const command = [process.execPath, '-e', 'console.error("no such setting"); process.exit(2)', '--'] as const
  const waking = wakeDaemon(options({ command }), signal)
  await expect(waking).rejects.toThrow(/ended at once \(exit code 2\).*logs\/daemon\/stderr\.log: no such setting/)
  expect(existsSync(join(workhome, 'logs', 'daemon', 'stdout.log'))).toBe(true)
})

test.each(['dfget.lock', 'logs'])('a work home whose %s is in the way is told with the reason', async (name) => {
  // A directory where a file has to be, and the other way round: nobody can write there, root neither.
  if (name === 'logs') writeFileSync(join(workhome, name), '')
  else mkdirSync(join(workhome, name))
  await expect(wakeDaemon(options(), signal)).rejects.toMatchObject({
    code: 'daemon.unavailable',
    message: expect.stringMatching(new RegExp(`^cannot .*${name}.*: E[A-Z]+: `)),
  })
})

test('a daemon that never answers is given up', async () => {
  const isUp = (): Promise<boolean> => Promise.resolve(false)
  await expect(wakeDaemon(options({ isUp, waitMs: 300 }), signal)).rejects.toMatchObject({
    code: 'daemon.unavailable',
    message: expect.stringContaining('does not answer after 300 ms'),
  })
})

test('waiting for a daemon ends with the signal', async () => {
  const controller = new AbortController()
  const isUp = (): Promise<boolean> => Promise.resolve(false)
  const waking = wakeDaemon(options({ isUp }), controller.signal)
  setTimeout(() => controller.abort(), 100)
  await expect(waking).rejects.toMatchObject({ name: 'AbortError' })
  await expect.poll(() => startedPids().length).toBe(1) // so that it can be ended
})

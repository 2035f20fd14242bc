import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { devnet, programPath, runProgram, startOrigin, tempDir } from '#devnet'
import { expectFile, expectSuccess, MiB, STORY, writeSamplePlugin } from './story.ts'

const content = { size: MiB, seed: 'usage' }
const SOURCE_OF_SAMPLE = 'd7yfs://host:56001/path/to/resource'
const NOISE = `
console.log('noise at the top')
process.stdout.write('noise at the top\\n')`

/** The page's plugin with something added at its top, in its init and in its download. */
async function writeBadPlugin(dir: string, added: { top?: string; init?: string; download?: string }): Promise<void> {
  await writeSamplePlugin(dir)
  const file = `${dir}/d7y-resource-plugin-d7yfs.mjs`
  const text = await readFile(file, 'utf8')
  const init = text.replace('DragonflyPluginInit() {', `DragonflyPluginInit() { ${added.init ?? ''}`)
  const download = init.replace('async download() {', `async download() { ${added.download ?? ''};`)
  await writeFile(file, `${added.top ?? ''}\n${download}`)
}

test.each([
  ['a word that is no URL', ['model.bin', '--json']],
  ['a bad value', ['http://127.0.0.1:1/a', '--json', '--limit', '99999999999999999999']],
  ['an unknown flag', ['--json', '--no-such-flag', 'http://127.0.0.1:1/a']],
  ['no URL', ['--json']],
  ['two URLs', ['--json', 'http://127.0.0.1:1/a', 'http://127.0.0.1:1/b']],
  ['stdout wanted twice', ['--json', '-O', '-', 'http://127.0.0.1:1/a']],
  ['a slip in a command', ['dameon', '--json']],
])('dfget --json prints one result object for %s', STORY, async (_, words) => {
  const ran = await runProgram('dfget', words)
  expect(ran.code, ran.stderr).toBe(2)
  const result: unknown = JSON.parse(ran.stdout)
  expect(result).toEqual({ success: false, code: 'usage.invalid', message: expect.any(String), exit: 2 })
})

test('dfget --json prints one result object for an output that cannot be made', STORY, async () => {
  await using dir = await tempDir('usage')
  const blocked = ['http://127.0.0.1:1/a', '--json', '-O', '/proc/no/such', '--workhome', dir.path]
  const ran = await runProgram('dfget', blocked)
  expect(ran.code, ran.stderr).toBe(8)
  expect(JSON.parse(ran.stdout)).toMatchObject({ success: false, code: 'output.invalid', exit: 8 })
})

test('a command that was nearly right is told, and secrets of a URL are not', STORY, async () => {
  const slip = await runProgram('dfget', ['dameon'])
  expect(slip.code).toBe(2)
  expect(slip.stderr).toContain('did you mean dfget daemon?')
  const url = 'http://user:s3cr3t@127.0.0.1/?signature=s3cr3t'
  for (const words of [[url], [`--no-such=${url}`], [url, url], [`-p`, 'p2p', `x${url.slice(4)}`]]) {
    const ran = await runProgram('dfget', words)
    expect(ran.code, ran.stderr).toBe(2)
    expect(ran.stdout + ran.stderr).not.toContain('s3cr3t')
  }
})

test('the help shows no empty default', STORY, async () => {
  const { stdout } = await runProgram('dfget', ['--help'])
  expect(stdout).not.toMatch(/default: (""|\[\]|"|false)/)
  expect(stdout).toMatch(/\(default:\s+p2p\)/)
})

test('a reader that has seen enough ends dfget with 141 and one quiet line', STORY, async () => {
  await using dir = await tempDir('usage')
  await using origin = await startOrigin({ content: { size: 64 * MiB, seed: 'usage' } })
  const words = [programPath('dfget'), origin.url(), '-O', '-', '-p', 'source', '--workhome', dir.path]
  await runProgram('dfget', ['version']) // so that it is built
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stdout.once('data', () => child.stdout.destroy())
  expect(await once(child, 'close')).toEqual([141, null])
  const behind = said.slice(said.indexOf('init success')).trim().split('\n').slice(1)
  expect(behind).toEqual(['dfget: who read the output went away'])
})

test('a download to a file goes on when nobody reads its lines', STORY, async () => {
  await using dir = await tempDir('usage')
  await using origin = await startOrigin({ content })
  const words = [programPath('dfget'), origin.url(), '-O', dir.join('f'), '-p', 'source', '--workhome', dir.path]
  await runProgram('dfget', ['version'])
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'] })
  child.stdout.destroy()
  expect(await once(child, 'close')).toEqual([0, null])
  await expectFile(dir.join('f'), content)
})

test('the scheme of a URL may be written in capitals, and no daemon is started for a local file', STORY, async () => {
  await using dir = await tempDir('usage')
  await writeFile(dir.join('here'), 'hello')
  const url = `FILE://${dir.join('here')}`
  const ran = await runProgram('dfget', [url, '-O', dir.join('f'), '--workhome', dir.join('home')])
  expectSuccess(ran)
  expect(await readFile(dir.join('f'), 'utf8')).toBe('hello')
  expect(await dir.files()).not.toContain('home/dfget.lock')
})

test('why no daemon can be had is told once', STORY, async () => {
  await using dir = await tempDir('usage')
  await using origin = await startOrigin({ content })
  await mkdir(dir.join('home/dfget.lock'), { recursive: true })
  const ran = await runProgram('dfget', [origin.url(), '-O', dir.join('f'), '--workhome', dir.join('home')])
  expectSuccess(ran)
  const line = ran.stdout.split('\n').find((text) => text.startsWith('daemon downloads file error: '))
  expect(line).toMatch(/cannot lock .*dfget\.lock to start a daemon: EISDIR/)
  expect(line?.match(/EISDIR/g)).toHaveLength(1)
})

test('a scheduler whose port is taken says who may have it, and what to do', STORY, async () => {
  await using dir = await tempDir('usage')
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  try {
    const { port } = taken.address() as AddressInfo
    const ran = await runProgram('scheduler', [`--port=${port}`, '--workhome', dir.path])
    expect(ran.code, ran.stderr).toBe(2)
    expect(ran.stderr).toContain(`cannot listen on 127.0.0.1:${port}: another process listens there, perhaps a daemon`)
    expect(ran.stderr).toContain('--port')
    const metrics = await runProgram('scheduler', [
      '--port=0',
      `--metrics-listen=127.0.0.1:${port}`,
      '--workhome',
      dir.path,
    ])
    expect(metrics.code, metrics.stderr).toBe(2)
    expect(metrics.stderr).toContain('metrics.listen: cannot listen on')
  } finally {
    taken.close()
  }
})

test('what a plugin prints goes to stderr: stdout holds the file, the result or the listing alone', STORY, async () => {
  await using dir = await tempDir('usage')
  const noise = `console.log('noise'); process.stdout.write('noise\\n')`
  await writeBadPlugin(dir.join('home/plugins'), { top: NOISE, init: noise, download: noise })
  const home = ['--workhome', dir.join('home')]
  const bytes = await runProgram('dfget', [SOURCE_OF_SAMPLE, '-O', '-', '-p', 'source', ...home])
  expect(bytes.stdout).toBe('hello world')
  expect(bytes.stderr).toContain('noise')
  const json = await runProgram('dfget', [SOURCE_OF_SAMPLE, '-O', dir.join('f'), '--json', '-p', 'source', ...home])
  expect(JSON.parse(json.stdout)).toMatchObject({ success: true, bytes: 11 })
  const listing = await runProgram('dfget', ['plugin', ...home])
  expect(listing.code, listing.stderr).toBe(0)
  expect(listing.stdout).not.toContain('noise')
  expect(listing.stdout).toContain('d7yfs')
})

test('what a plugin lets fail beside a download is a warning, and the download succeeds', STORY, async () => {
  await using dir = await tempDir('usage')
  const stray = `Promise.reject(new Error('stray promise')); setTimeout(() => { throw new Error('stray timer') }, 0)
    await new Promise((resolve) => setTimeout(resolve, 50))`
  await writeBadPlugin(dir.join('home/plugins'), { download: stray })
  const home = ['--workhome', dir.join('home')]
  const ran = await runProgram('dfget', [SOURCE_OF_SAMPLE, '-O', dir.join('f'), '-p', 'source', ...home])
  expectSuccess(ran)
  expect(await readFile(dir.join('f'), 'utf8')).toBe('hello world')
  expect(ran.stderr).toContain('dfget: d7yfs: something failed beside its calls: stray promise (at ')
  expect(ran.stderr).toContain('dfget: d7yfs: something failed beside its calls: stray timer (at ')
  expect(ran.stderr).not.toMatch(/^ +at /m)
})

test('a plugin that never answers is given up after the idle times, with one line and one result', STORY, async () => {
  await using dir = await tempDir('usage')
  await writeBadPlugin(dir.join('home/plugins'), { download: `await new Promise(() => {})` })
  const config = dir.join('config.yaml')
  await writeFile(config, 'sources: { idleTimeout: 1s, retry: { attempts: 2, firstDelay: 10ms } }')
  const home = ['--workhome', dir.join('home'), '--config', config]
  const ran = await runProgram('dfget', [SOURCE_OF_SAMPLE, '-O', dir.join('f'), '--json', '-p', 'source', ...home])
  expect(ran.code, ran.stderr).toBe(6)
  const told = 'no byte of d7yfs://host:56001/path/to/resource came for 1s'
  expect(JSON.parse(ran.stdout)).toMatchObject({ success: false, code: 'source.unreachable', message: told })
  expect(ran.stderr).not.toMatch(/^ +at /m)
})

test('a daemon lives on when a plugin lets something fail beside a download, and logs it', STORY, async () => {
  await using dir = await tempDir('usage')
  const download = `Promise.reject(new Error('stray promise')); setTimeout(() => { throw new Error('stray timer') }, 0)`
  await writeBadPlugin(dir.join('plugins'), { download })
  await using net = await devnet({ scheduler: false, pluginDirs: { peers: [dir.join('plugins')] } })
  const [peer] = net.peers
  expectSuccess(await peer!.dfget([SOURCE_OF_SAMPLE, '-O', dir.join('f')]))
  const said = (): string[] =>
    peer!
      .logLines()
      .filter(({ plugin }) => plugin === 'd7yfs')
      .map(({ msg }) => String(msg))
  await expect.poll(said, { timeout: 30_000 }).toHaveLength(2)
  expect(said().join()).toMatch(/failed beside its calls: stray promise.*stray timer/)
  expect(peer!.running).toBe(true)
  expectSuccess(await peer!.dfget([SOURCE_OF_SAMPLE, '-O', dir.join('g'), '--tag', 'again']))
})

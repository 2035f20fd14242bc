import { existsSync } from 'node:fs'
import { open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { devnet, type Member, runProgram, startNginx, startOrigin, tempDir, until } from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, resultOf, STORY } from './story.ts'

/** The longest file in a member's storage: the content of its largest task. */
async function contentFile(member: Member): Promise<{ path: string; bytesOnDisk: number }> {
  const entries = await readdir(join(member.workhome, 'storage'), { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const files = await Promise.all(
    paths.map(async (path) => ({ path, bytesOnDisk: ((await stat(path).catch(() => undefined))?.blocks ?? 0) * 512 })),
  )
  return files.sort((a, b) => b.bytesOnDisk - a.bytesOnDisk)[0] ?? { path: '', bytesOnDisk: 0 }
}

test('pieces are handed on while the task is still being read', STORY, async () => {
  const content = { size: 24 * MiB, seed: 'meanwhile' }
  await using dir = await tempDir('dmn')
  await using origin = await startOrigin({ content, faults: { stallAfterBytes: 14 * MiB } })
  await using net = await devnet({ peers: 2 })
  const [first, second] = net.peers
  const one = first!.dfget([origin.url(), '-O', dir.join('1'), '--json'])
  await until(async () => (await contentFile(first!).catch(() => ({ bytesOnDisk: 0 }))).bytesOnDisk > 4 * MiB)
  const two = second!.dfget([origin.url(), '-O', dir.join('2'), '--json'])
  // The origin says no more, and yet the second host has what the first one has.
  await until(async () => (await contentFile(second!).catch(() => ({ bytesOnDisk: 0 }))).bytesOnDisk >= 12 * MiB, {
    what: 'three pieces at the second host',
  })
  origin.faults.stallAfterBytes = undefined
  expect(resultOf(await one).bytes).toBe(content.size)
  expect(resultOf(await two).bytesFromPeers).toBe(content.size)
  await expectFile(dir.join('1'), content)
  await expectFile(dir.join('2'), content)
  expect(origin.bytesSent).toBe(content.size)
})

test('a child takes from several parents at once', STORY, async () => {
  const content = { size: 48 * MiB, seed: 'several' }
  await using dir = await tempDir('dmn')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 3, peerSettings: { upload: { rateLimit: '16MiB' } } })
  const [first, second, third] = net.peers
  expectSuccess(await first!.dfget([nginx.url('f'), '-O', dir.join('1')]))
  expectSuccess(await second!.dfget([nginx.url('f'), '-O', dir.join('2')]))
  const result = resultOf(await third!.dfget([nginx.url('f'), '-O', dir.join('3'), '--json']))
  expect(Object.keys(result.bytesByParentHost).sort()).toEqual(['127.0.0.1-peer-1', '127.0.0.1-peer-2'])
  expect(Object.values(result.bytesByParentHost).reduce((sum, bytes) => sum + bytes, 0)).toBe(content.size)
  await expectFile(dir.join('3'), content)
})

test('requests for one task share one download', STORY, async () => {
  const content = { size: 16 * MiB, seed: 'share' }
  await using dir = await tempDir('dmn')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 16 * MiB } })
  await using net = await devnet({ peers: 1 })
  const names = ['1', '2', '3', '4', '5']
  const rans = await Promise.all(names.map((name) => net.peers[0]!.dfget([origin.url(), '-O', dir.join(name)])))
  rans.forEach(expectSuccess)
  for (const name of names) await expectFile(dir.join(name), content)
  expect(origin.bytesSent).toBe(content.size)
})

test('one of two who wait goes away, and the other one gets the file', STORY, async () => {
  const content = { size: 16 * MiB, seed: 'leaves' }
  await using dir = await tempDir('dmn')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 8 * MiB } })
  await using net = await devnet({ peers: 1 })
  await using leaving = await net.peers[0]!.startDfget([origin.url(), '-O', dir.join('1')])
  const staying = net.peers[0]!.dfget([origin.url(), '-O', dir.join('2')])
  await until(() => origin.bytesSent > 4 * MiB)
  leaving.kill('SIGINT')
  expect((await leaving.exited).code).toBe(130)
  expectSuccess(await staying)
  await expectFile(dir.join('2'), content)
  await expectOnly(dir.path, ['2'])
  expect(origin.bytesSent).toBe(content.size)
})

test('a parent that notices damage on its disk gives nothing of it, and the child asks elsewhere', STORY, async () => {
  const content = { size: 24 * MiB, seed: 'disk lies' }
  await using dir = await tempDir('dmn')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 2, peerSettings: { upload: { rateLimit: '4MiB' } } })
  const [first, second] = net.peers
  expectSuccess(await first!.dfget([nginx.url('f'), '-O', dir.join('1')]))
  const running = second!.dfget([nginx.url('f'), '-O', dir.join('2'), '--json'])
  await until(async () => (await contentFile(second!).catch(() => ({ bytesOnDisk: 0 }))).bytesOnDisk > MiB)
  // In the middle, so that the parent has looked at its disk already and believes it.
  const file = await open((await contentFile(first!)).path, 'r+')
  for (let offset = 1000; offset < content.size; offset += MiB) await file.write('wrong', offset)
  await file.close()
  const result = resultOf(await running)
  expect(result.bytesFromSource).toBeGreaterThan(0)
  await expectFile(dir.join('2'), content)
  await expectFile((await contentFile(second!)).path, content)
})

/** Turns one bit in whatever a daemon reads from its storage: a disk, or a memory, that lies. */
const LYING_DISK = `
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
const { read } = fs
fs.read = (fd, target, start, length, position, done) =>
  read(fd, target, start, length, position, (error, got) => {
    if (got >= 65536) target[start + 1000] ^= 1
    done(error, got, target)
  })
syncBuiltinESMExports()
`

test('a parent that gives wrong bytes is found out by its child, and they are kept nowhere', STORY, async () => {
  const content = { size: 24 * MiB, seed: 'liar' }
  await using dir = await tempDir('dmn')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 3 })
  const [liar, honest, child] = net.peers
  expectSuccess(await honest!.dfget([nginx.url('f'), '-O', dir.join('1')]))
  expectSuccess(await liar!.dfget([nginx.url('f'), '-O', dir.join('2')]))
  await writeFile(dir.join('lie.mjs'), LYING_DISK)
  await liar!.restart({ env: { NODE_OPTIONS: `--import ${dir.join('lie.mjs')}` } })
  const before = await nginx.bytesSent()

  expect(resultOf(await child!.dfget([nginx.url('f'), '-O', dir.join('3'), '--json'])).bytesFromPeers).toBe(
    content.size,
  )
  await expectFile(dir.join('3'), content)
  await expectFile((await contentFile(child!)).path, content)
  expect(await nginx.bytesSent()).toBe(before)

  // With nobody else to ask the origin is read: never the liar believed.
  await honest!.kill('SIGTERM')
  await child!.kill('SIGTERM')
  await rm(join(honest!.workhome, 'storage'), { recursive: true })
  await honest!.restart()
  expect(resultOf(await honest!.dfget([nginx.url('f'), '-O', dir.join('4'), '--json'])).bytesFromSource).toBe(
    content.size,
  )
  await expectFile(dir.join('4'), content)
  await until(() => honest!.log().includes('piece.corrupt'))
})

test('a seed that is killed half-way goes on where it broke', STORY, async () => {
  const content = { size: 32 * MiB, seed: 'break point' }
  await using dir = await tempDir('dmn')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 16 * MiB } })
  await using net = await devnet({ peers: 2, seeds: 1, schedulerSettings: { seedRetryAfter: '100ms' } })
  const [seed] = net.seeds
  const [first, second] = net.peers
  await using running = await first!.startDfget([origin.url(), '-O', dir.join('1')])
  await until(async () => (await contentFile(seed!).catch(() => ({ bytesOnDisk: 0 }))).bytesOnDisk > 14 * MiB)
  running.kill('SIGKILL')
  await Promise.all([first!.kill('SIGKILL'), seed!.kill('SIGKILL')])
  const gets = origin.gets().length
  const sent = origin.bytesSent
  origin.faults.bytesPerSecond = undefined
  await seed!.restart()

  expect(resultOf(await second!.dfget([origin.url(), '-O', dir.join('2'), '--json'])).bytesFromPeers).toBe(content.size)
  await expectFile(dir.join('2'), content)
  const starts = origin
    .gets()
    .slice(gets)
    .map(({ range }) => Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0))
  expect(Math.max(...starts)).toBeGreaterThanOrEqual(8 * MiB)
  expect(origin.bytesSent - sent).toBeLessThanOrEqual(content.size - 8 * MiB)
})

test('a restarted seed gives what it had without asking the origin for a body', STORY, async () => {
  const content = { size: 12 * MiB, seed: 'metadata' }
  await using dir = await tempDir('dmn')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 2, seeds: 1 })
  const [first, second] = net.peers
  expectSuccess(await first!.dfget([nginx.url('f'), '-O', dir.join('1')]))
  const before = await nginx.bytesSent()
  await first!.kill('SIGKILL')
  await net.seeds[0]!.restart()
  expectSuccess(await second!.dfget([nginx.url('f'), '-O', dir.join('2')]))
  await expectFile(dir.join('2'), content)
  expect(await nginx.bytesSent()).toBe(before)
})

test('an idle daemon ends itself after its time, and not while it works', STORY, async () => {
  const content = { size: 6 * MiB, seed: 'idle' }
  await using dir = await tempDir('dmn')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 2 * MiB } })
  await using net = await devnet({ peers: 1, peerSettings: { aliveTime: '1500ms' } })
  expectSuccess(await net.peers[0]!.dfget([origin.url(), '-O', dir.join('f')]))
  await expectFile(dir.join('f'), content)
  expect(await net.peers[0]!.exited).toEqual({ code: 0, signal: null })
})

test('SIGTERM ends every program at once, with exit code 0 and no socket left', STORY, async () => {
  await using net = await devnet({ peers: 1, seeds: 1 })
  for (const member of [net.peers[0]!, net.seeds[0]!, net.scheduler]) {
    const { socket } = member.ready
    const asked = performance.now()
    await member.kill('SIGTERM')
    expect(await member.exited, member.log()).toEqual({ code: 0, signal: null })
    // No deadline of a talk with anybody (10 s and more) was waited for.
    expect(performance.now() - asked).toBeLessThan(9000)
    if (socket !== undefined) expect(existsSync(socket)).toBe(false)
  }
})

test('a second daemon in the same work home says that there is one, and leaves it alone', STORY, async () => {
  await using dir = await tempDir('dmn')
  await using nginx = await startNginx({ files: { f: { size: 100, seed: 1 } } })
  await using net = await devnet({ peers: 1 })
  const second = await runProgram('dfdaemon', ['--workhome', net.peers[0]!.workhome, '--upload-port', '0', '--console'])
  expect([second.code, second.stdout]).toEqual([
    9,
    expect.stringContaining('the daemon is running, so there is no need to start it again'),
  ])
  expect(second.stderr).toMatch(/a daemon runs in .* already.*\n.*Stop it first/)
  expectSuccess(await net.peers[0]!.dfget([nginx.url('f'), '-O', dir.join('f')]))
})

test('every line of a log is one JSON object, and no secret of a URL or header is in it', STORY, async () => {
  await using dir = await tempDir('dmn')
  await using nginx = await startNginx({ files: { f: { size: 5 * MiB, seed: 1 } } })
  await using net = await devnet({ peers: 1, seeds: 1 })
  const url = `${nginx.url('f')}?signature=topsecret1`
  const header = ['-H', 'Authorization: Bearer topsecret2']
  expectSuccess(await net.peers[0]!.dfget([url, '-O', dir.join('f'), ...header]))
  expect(
    (await net.peers[0]!.dfget([`${nginx.url('gone')}?signature=topsecret1`, '-O', dir.join('g'), ...header])).code,
  ).toBe(4)
  for (const member of [...net.peers, ...net.seeds, net.scheduler]) {
    const lines = member
      .log()
      .split('\n')
      .filter((line) => line.trim() !== '')
    expect(member.logLines(), member.log()).toHaveLength(lines.length)
    expect(member.log()).not.toMatch(/topsecret/)
  }
})

test('a daemon without a scheduler is its own: it downloads, keeps, and gives again', STORY, async () => {
  const content = { size: 9 * MiB, seed: 'embedded' }
  await using dir = await tempDir('dmn')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 1, scheduler: false })
  expectSuccess(await net.peers[0]!.dfget([nginx.url('f'), '-O', dir.join('1')]))
  const before = await nginx.bytesSent()
  expect(before).toBe(content.size)
  expect(resultOf(await net.peers[0]!.dfget([nginx.url('f'), '-O', dir.join('2'), '--json'])).bytesLocal).toBe(
    content.size,
  )
  expect(await nginx.bytesSent()).toBe(before)
  await expectFile(dir.join('2'), content)
})

test(
  'nothing listens beyond loopback until it is told to, and then the log says what that opens',
  STORY,
  async (context) => {
    const outside = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
    if (outside === undefined) return context.skip('this machine has no address but loopback')
    await using net = await devnet({ peers: 1, seeds: 1 })
    for (const { ready } of [...net.peers, ...net.seeds, net.scheduler]) {
      for (const port of [ready.uploadPort, ready.piecePort, ready.schedulerPort]) {
        if (port !== undefined) expect(await canConnect(port, outside), `${outside}:${port}`).toBe(false)
      }
    }
    await using open = await devnet({
      peers: 1,
      peerSettings: { listen: '0.0.0.0' },
      schedulerSettings: { listen: '0.0.0.0' },
    })
    expect(await canConnect(open.peers[0]!.ready.uploadPort!, outside)).toBe(true)
    expect(await canConnect(open.scheduler.ready.schedulerPort!, outside)).toBe(true)
    for (const member of [open.peers[0]!, open.scheduler]) {
      const warning = member.logLines().find(({ level }) => level === 'warn')
      expect(JSON.stringify(warning), member.log()).toMatch(/0\.0\.0\.0|network|loopback/)
    }
  },
)

function canConnect(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => resolve(true))
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy())
  })
}

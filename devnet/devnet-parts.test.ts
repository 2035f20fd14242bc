import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { bytesOf, randomBytesFile, sha256File, sha256Of } from './content.ts'
import { AUTH_PASSWORD, AUTH_USER, startNginx } from './nginx.ts'
import { startOrigin } from './origin.ts'
import { endProcesses, processesNaming, run, spawnNode } from './process.ts'
import { tempDir } from './temp.ts'
import { until } from './wait.ts'

test('a pattern has the same bytes wherever reading starts', () => {
  const whole = bytesOf({ size: 3_000_000, seed: 7 })
  for (const start of [0, 1, 15, 16, 17, 1_048_577, 2_999_999]) {
    expect(sha256Of({ size: 3_000_000, seed: 7 }, start)).toBe(sha256Of(whole, start))
  }
  expect(sha256Of({ size: 3_000_000, seed: 8 })).not.toBe(sha256Of(whole))
})

test('a random file on disk is its pattern, and goes with its directory', async () => {
  await using dir = await tempDir('parts')
  await randomBytesFile(dir.join('a'), 2_500_001, 'seed')
  expect(await sha256File(dir.join('a'))).toBe(sha256Of({ size: 2_500_001, seed: 'seed' }))
  expect(await dir.files()).toEqual(['a'])
})

test('nginx serves files in every manner and logs bytes and ranges', async () => {
  const content = bytesOf({ size: 300_000, seed: 1 })
  await using nginx = await startNginx({ files: { 'a/b.bin': content }, limitRate: '100k' })
  const get = async (url: string, headers: Record<string, string> = {}) => {
    const response = await fetch(url, { headers })
    return { response, sha256: sha256Of(new Uint8Array(await response.arrayBuffer())) }
  }
  expect((await get(nginx.url('a/b.bin'))).sha256).toBe(sha256Of(content))
  const part = await get(nginx.url('a/b.bin'), { range: 'bytes=5-9' })
  expect([part.response.status, part.sha256]).toEqual([206, sha256Of(content, 5, 10)])
  const whole = await get(nginx.url('a/b.bin', 'no-range'), { range: 'bytes=5-9' })
  expect([whole.response.status, whole.sha256]).toEqual([200, sha256Of(content)])
  const chunked = await get(nginx.url('a/b.bin', 'chunked'))
  expect([chunked.response.headers.get('content-length'), chunked.sha256]).toEqual([null, sha256Of(content)])
  expect((await get(nginx.url('a/b.bin', 'gzip'))).response.headers.get('content-encoding')).toBe('gzip')
  expect((await get(nginx.url('a/b.bin', 'redirect'))).response.url).toBe(nginx.url('a/b.bin'))
  expect((await get(nginx.url('a/b.bin', 'auth'))).response.status).toBe(401)
  const authorization = `Basic ${btoa(`${AUTH_USER}:${AUTH_PASSWORD}`)}`
  expect((await get(nginx.url('a/b.bin', 'auth'), { authorization })).sha256).toBe(sha256Of(content))
  const started = performance.now()
  expect((await get(nginx.url('a/b.bin', 'slow'))).sha256).toBe(sha256Of(content))
  expect(performance.now() - started).toBeGreaterThan(1000)

  const log = await nginx.accessLog()
  expect(log[0]).toMatchObject({ path: '/a/b.bin', method: 'GET', status: 200, bytes: 300_000, range: '' })
  expect(log[1]).toMatchObject({ status: 206, bytes: 5, range: 'bytes=5-9' })
})

test('an origin dies, heals, lies, stalls and refuses as it is told', async () => {
  const content = { size: 1_000_000, seed: 3 }
  await using origin = await startOrigin({ content, faults: { dieAfterBytes: 200_000, dieTimes: 1 } })
  const body = async () => new Uint8Array(await (await fetch(origin.url())).arrayBuffer())
  await expect(body()).rejects.toThrow()
  expect(origin.requests[0]?.bytes).toBe(200_000)
  expect(sha256Of(await body())).toBe(sha256Of(content))

  origin.faults.noLength = true
  expect((await fetch(origin.url(), { method: 'HEAD' })).headers.get('content-length')).toBe(null)
  origin.faults.noLength = false
  origin.faults.lieLengthBy = 5
  await expect(body()).rejects.toThrow()
  origin.faults.lieLengthBy = 0
  const etag = (await fetch(origin.url(), { method: 'HEAD' })).headers.get('etag')
  origin.put('file.bin', { size: 10, seed: 4 })
  expect((await fetch(origin.url(), { headers: { 'if-none-match': etag ?? '' } })).status).toBe(200)

  await origin.refuse()
  await expect(body()).rejects.toThrow()
  await origin.accept()
  expect((await body()).length).toBe(10)
  expect(origin.gets('file.bin').length).toBe(5)
})

test('a process is waited for, measured, and ended with its scope', async () => {
  let pid = 0
  {
    await using child = await spawnNode({
      args: ['-e', 'console.log("ready"); process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'],
      readyWhen: ({ stdout }) => stdout.includes('ready'),
    })
    pid = child.pid
    expect(child.rssPeakBytes()).toBeGreaterThan(10 * 2 ** 20)
    child.kill('SIGSTOP')
  }
  expect(() => process.kill(pid, 0)).toThrow()
  await expect(spawnNode({ args: ['-e', 'console.error("why")'], readyWhen: () => false })).rejects.toThrow(/why/)
  expect(await run(process.execPath, ['-p', '6 * 7'])).toMatchObject({ code: 0, stdout: '42\n' })
})

test('processes that nobody waits for are found by a name in their command line', async () => {
  await using dir = await tempDir('parts')
  await writeFile(dir.join('wait.mjs'), 'setInterval(() => {}, 1000)')
  await run(process.execPath, [
    '-e',
    `require('child_process').spawn(process.execPath, ['${dir.join('wait.mjs')}'], { detached: true, stdio: 'ignore' }).unref()`,
  ])
  await until(() => processesNaming(dir.path).length === 1)
  await endProcesses(processesNaming(dir.path))
  await sleep(10)
  expect(processesNaming(dir.path)).toEqual([])
})

test('a process that is run by other words is that process: its id, its environment, its end', async () => {
  const within = ['env', 'WHERE=elsewhere']
  const script = 'console.log(process.pid, process.env.WHERE); setInterval(() => {}, 1000)'
  await using child = await spawnNode({
    args: ['-e', script],
    within,
    readyWhen: ({ stdout }) => stdout.includes('\n'),
  })
  expect(child.stdout()).toBe(`${child.pid} elsewhere\n`)
  expect((await run('sh', ['-c', 'echo $WHERE'], { within })).stdout).toBe('elsewhere\n')
})

test('nginx listens at the address it is told, and its log is whole there too', async () => {
  await using nginx = await startNginx({ files: { f: new Uint8Array(5) }, address: '127.0.0.3', within: ['env'] })
  expect(new URL(nginx.url('f')).hostname).toBe('127.0.0.3')
  expect((await (await fetch(nginx.url('f'))).arrayBuffer()).byteLength).toBe(5)
  expect(await nginx.bytesSent()).toBe(5)
})

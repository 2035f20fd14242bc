import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { bytesOf, devnet, processesNaming, runProgram, startOrigin, tempDir } from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, STORY } from './story.ts'

const content = { size: MiB, seed: 'dfget parity' }

test(
  'where no daemon can be had dfget reads the origin itself, and with --disable-back-source it fails without',
  STORY,
  async () => {
    await using dir = await tempDir('par')
    await using origin = await startOrigin({ content })
    const home = ['--workhome', dir.join('home')]
    // A directory in the place of the socket: no daemon can ever listen there.
    await mkdir(dir.join('home/daemon.sock/x'), { recursive: true })
    const refused = await runProgram('dfget', [origin.url(), '-O', dir.join('out/f'), '--disable-back-source', ...home])
    expect(refused.code, refused.stderr).toBe(1)
    expect(refused.stderr).toMatch(/no daemon could be asked, and --disable-back-source forbids to read the origin/)
    expect(origin.bytesSent).toBe(0)
    await expectOnly(dir.join('out'), [])

    const ran = await runProgram('dfget', [origin.url(), '-O', dir.join('out/f'), ...home])
    expectSuccess(ran)
    expect(ran.stdout).toMatch(/^daemon downloads file error: /m)
    expect(ran.stdout).toMatch(/^try to download from source and ignore rate limit$/m)
    await expectFile(dir.join('out/f'), content)
    expect(processesNaming(dir.path)).toEqual([])
  },
)

test('dfget keeps a log of its runs, with who called, and without secrets', STORY, async () => {
  await using dir = await tempDir('par')
  await using origin = await startOrigin({ content })
  const places = ['--workhome', dir.join('home'), '--logdir', dir.join('logs'), '-p', 'source']
  const secret = ['-H', 'Authorization: Bearer topsecret']
  const url = `${origin.url()}?signature=topsecret`
  expectSuccess(await runProgram('dfget', [url, '-O', dir.join('f'), '--callsystem', 'ci', ...places, ...secret]))
  const gone = await runProgram('dfget', [origin.url('gone'), '-O', dir.join('g'), '--verbose', ...places, ...secret])
  expect(gone.code).toBe(4)
  const text = await readFile(dir.join('logs/dfget/dfget.log'), 'utf8')
  const lines = text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  expect(lines).toMatchObject([
    { msg: 'downloaded', callsystem: 'ci', bytes: content.size },
    { msg: 'download failed', code: 'source.not_found' },
  ])
  expect(text).not.toContain('topsecret')

  const onConsole = await runProgram('dfget', [origin.url(), '-O', dir.join('f'), '--console', ...places])
  expect(onConsole.stderr).toContain('"msg":"downloaded"')
  expect((await readFile(dir.join('logs/dfget/dfget.log'), 'utf8')).length).toBe(text.length)
})

// v2.0.2 says that it succeeded and does nothing.
test('--original-offset writes into a file that is there, and leaves its other bytes alone', STORY, async () => {
  await using dir = await tempDir('par')
  await using origin = await startOrigin({ content })
  await using net = await devnet({ peers: 1 })
  for (const pattern of ['p2p', 'source']) {
    await writeFile(dir.join('f'), Buffer.alloc(50, 'x'))
    const args = [origin.url(), '-O', dir.join('f'), '--original-offset', '--range', '10-19', '-p', pattern]
    expectSuccess(await net.peers[0]!.dfget(args))
    const part = bytesOf(content).subarray(10, 20)
    expect(await readFile(dir.join('f'))).toEqual(Buffer.concat([Buffer.alloc(10, 'x'), part, Buffer.alloc(30, 'x')]))
    await expectOnly(dir.path, ['f'])
  }
})

import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { readFile, stat } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  bytesOf,
  type Devnet,
  devnet,
  endProcesses,
  type Nginx,
  type Origin,
  processesNaming,
  runProgram,
  startNginx,
  startOrigin,
  tempDir,
} from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, resultOf, STORY } from './story.ts'

const content = { size: 9 * MiB + 5, seed: 'dfget' }
const bytes = bytesOf(content)
let net: Devnet
let nginx: Nginx
let origin: Origin

beforeAll(async () => {
  nginx = await startNginx({ files: { 'dir/f.bin': content }, limitRate: '200k' })
  origin = await startOrigin({ content })
  net = await devnet({ peers: 1, seeds: 1 })
}, 120_000)
afterAll(async () => {
  await net?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
  await nginx?.[Symbol.asyncDispose]()
})

const peer = () => net.peers[0]!
/** Another task each time, so that no test lives on what an earlier one has fetched. */
let count = 0
const fresh = () => ['--tag', `t${++count}`]

for (const pattern of ['p2p', 'cdn', 'source']) {
  test(
    `a single download with -p ${pattern} prints the seven lines of v2.0.2 in their order, and who gave what`,
    STORY,
    async () => {
      await using dir = await tempDir('dfget')
      const url = nginx.url('dir/f.bin')
      const ran = await peer().dfget(['-u', url, '-O', dir.join('F'), '-p', pattern, ...fresh()])
      expectSuccess(ran)
      const lines = ran.stdout.split('\n')
      const expected = [
        new RegExp(`^--\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d--  ${url}$`),
        /^dfget version: v\d+\.\d+\.\d+/,
        /^current user: \S+, default peer ip: \S+$/,
        new RegExp(`^output path: ${dir.join('F')}$`),
        /^init success and start to download$/,
        new RegExp(`^finish total length ${content.size} bytes$`),
        /^download success: true cost: \d+ ms $/,
        /^from the source .*, from \d+ peers? .*, from this host /,
        /^$/,
      ]
      expect(lines).toHaveLength(expected.length)
      for (const [index, line] of lines.entries()) expect(line).toMatch(expected[index]!)
      await expectFile(dir.join('F'), content)
      await expectOnly(dir.path, ['F'])
    },
  )
}

test('a URL without a flag makes a file of its last path segment in the working directory', STORY, async () => {
  await using dir = await tempDir('dfget')
  expectSuccess(await peer().dfget([`${nginx.url('dir/f.bin')}?token=1`], { cwd: dir.path }))
  await expectFile(dir.join('f.bin'), content)
  await expectOnly(dir.path, ['f.bin'])
})

test('the time limit ends a slow download, names itself, and leaves nothing', STORY, async () => {
  await using dir = await tempDir('dfget')
  for (const pattern of ['p2p', 'source']) {
    const args = [nginx.url('dir/f.bin', 'slow'), '-O', dir.join('f'), '--timeout', '1s', '-p', pattern]
    const ran = await peer().dfget(args)
    expect(ran.code, ran.stderr).toBe(1)
    expect(ran.stderr).toContain('timeout(1s)')
    if (pattern === 'p2p') await expectOnly(dir.path, [])
  }
})

test('the rate limit holds a download back, through the daemon and alone', STORY, async () => {
  await using dir = await tempDir('dfget')
  for (const pattern of ['p2p', 'source']) {
    const args = [nginx.url('dir/f.bin'), '-O', dir.join(pattern), '--limit', '4M', '-p', pattern, ...fresh()]
    const ran = await peer().dfget(args)
    expectSuccess(ran)
    // 9 MiB at 4 MiB/s, less the second of credit that a bucket starts with.
    expect(ran.ms).toBeGreaterThan(1200)
    await expectFile(dir.join(pattern), content)
  }
})

const digests = {
  md5: createHash('md5').update(bytes).digest('hex'),
  sha1: createHash('sha1').update(bytes).digest('hex'),
  sha256: createHash('sha256').update(bytes).digest('hex'),
  sha512: createHash('sha512').update(bytes).digest('hex'),
  crc32: crc32(bytes).toString(16).padStart(8, '0'),
}
for (const [algorithm, hex] of Object.entries(digests)) {
  test(`a right ${algorithm} is taken, a wrong one is refused and leaves no file`, STORY, async () => {
    await using dir = await tempDir('dfget')
    const wrong = `${algorithm}:${hex.startsWith('0') ? '1' : '0'}${hex.slice(1)}`
    for (const pattern of ['p2p', 'source']) {
      const args = [nginx.url('dir/f.bin'), '-O', dir.join('f'), '-p', pattern, ...fresh(), '--digest']
      const refused = await peer().dfget([...args, wrong])
      expect(refused.code, refused.stdout).toBe(1)
      expect(refused.stderr).toMatch(/digest/)
      expect(refused.stderr).toContain(hex)
      if (pattern === 'p2p') await expectOnly(dir.path, [])
      expectSuccess(await peer().dfget([...args, `${algorithm}:${hex}`]))
      await expectFile(dir.join('f'), content)
      await expectOnly(dir.path, ['f'])
      await (await import('node:fs/promises')).rm(dir.join('f'))
    }
  })
}

test('an unknown digest algorithm is refused before anything is asked', STORY, async () => {
  await using dir = await tempDir('dfget')
  const asked = origin.requests.length
  const ran = await peer().dfget([origin.url(), '-O', dir.join('f'), '--digest', 'md4:00'])
  expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('md4')])
  expect(origin.requests.length).toBe(asked)
})

test('two tags are two tasks at the origin; a filtered parameter makes none of its own', STORY, async () => {
  await using dir = await tempDir('dfget')
  await using own = await startOrigin({ content })
  const get = async (url: string, ...args: string[]) =>
    expectSuccess(await peer().dfget([url, '-O', dir.join('f'), ...args]))
  await get(own.url(), '--tag', 'a')
  expect(own.bytesSent).toBe(content.size)
  await get(own.url(), '--tag', 'b')
  expect(own.bytesSent).toBe(2 * content.size)
  await get(`${own.url()}?v=1&sign=1&t=1`, '--filter', 'sign&t')
  expect(own.bytesSent).toBe(3 * content.size)
  await get(`${own.url()}?v=1&sign=2&t=2`, '--filter', 'sign&t')
  expect(own.bytesSent).toBe(3 * content.size)
  await get(`${own.url()}?v=2&sign=2&t=2`, '--filter', 'sign&t')
  expect(own.bytesSent).toBe(4 * content.size)
})

test('the origin sees each header as it was given, commas and host included', STORY, async () => {
  await using dir = await tempDir('dfget')
  for (const pattern of ['p2p', 'source']) {
    await using own = await startOrigin({ content: { size: 10, seed: 1 } })
    const headers = ['-H', 'X-List: a, b,c', '-H', 'X-Time:12:30', '-H', 'Host: elsewhere.example', '-H', 'X-Two: 1']
    expectSuccess(await peer().dfget([own.url(), '-O', dir.join('f'), '-p', pattern, ...headers]))
    const [request] = own.gets()
    const expected = { 'x-list': 'a, b,c', 'x-time': '12:30', host: 'elsewhere.example', 'x-two': '1' }
    expect(request?.headers).toMatchObject(expected)
  }
})

test(
  'without daemon and without leave to read the source there is no download, and the origin is not asked',
  STORY,
  async () => {
    await using dir = await tempDir('dfget')
    await using alone = await devnet({ peers: 1 })
    await using own = await startOrigin({ content: { size: 10, seed: 1 } })
    const ran = await alone.peers[0]!.dfget([own.url(), '-O', dir.join('f'), '--disable-back-source'])
    expect(ran.code).toBe(1)
    expect(ran.stderr).toMatch(/--disable-back-source/)
    expect(own.bytesSent).toBe(0)
    await expectOnly(dir.path, [])
  },
)

test('-p source needs no daemon and starts none', STORY, async () => {
  await using dir = await tempDir('dfget')
  const home = dir.join('home')
  const ran = await runProgram('dfget', [origin.url(), '-O', dir.join('f'), '-p', 'source', '--workhome', home])
  expectSuccess(ran)
  await expectFile(dir.join('f'), content)
  expect(processesNaming(home)).toEqual([])
})

test('a bar is drawn on a terminal, and none with --console or where nobody looks', STORY, async () => {
  await using dir = await tempDir('dfget')
  const onTerminal = async (...args: string[]) => {
    const words = [...args, '-O', dir.join('f'), '--limit', '8M', ...fresh(), ...peer().address]
    const { run, programPath, PROGRAM_ENV } = await import('#devnet')
    const line = [process.execPath, programPath('dfget'), nginx.url('dir/f.bin'), ...words].join(' ')
    return run('script', ['-qec', line, '/dev/null'], { env: { ...PROGRAM_ENV, TERM: 'xterm' } })
  }
  const bar = /[█▓▒░#=]{2,}.*\d+%|\d+%.*[█▓▒░#=]{2,}/
  expect((await onTerminal()).stdout).toMatch(bar)
  expect((await onTerminal('--console')).stdout).not.toMatch(bar)
  const piped = await peer().dfget([nginx.url('dir/f.bin'), '-O', dir.join('f'), '--limit', '8M', ...fresh()])
  expect(piped.stdout + piped.stderr).not.toMatch(bar)
})

const RANGES = {
  '0-9': [0, 10],
  '9000000-': [9_000_000, content.size],
  '-7': [content.size - 7, content.size],
} as const
for (const [range, [start, end]] of Object.entries(RANGES)) {
  test(`the range ${range} gives exactly its bytes on every path`, STORY, async () => {
    await using dir = await tempDir('dfget')
    for (const pattern of ['p2p', 'source']) {
      const args = [nginx.url('dir/f.bin'), '-O', dir.join('f'), `--range=${range}`, '-p', pattern, ...fresh()]
      expectSuccess(await peer().dfget(args))
      await expectFile(dir.join('f'), bytes.subarray(start, end))
    }
    await expectOnly(dir.path, ['f'])
  })
}

test('a range outside the file is refused, and nothing is written', STORY, async () => {
  await using dir = await tempDir('dfget')
  for (const pattern of ['p2p', 'source']) {
    const args = [nginx.url('dir/f.bin'), '-O', dir.join('f'), '--range', '99999999-', '-p', pattern]
    expect((await peer().dfget(args)).code).toBe(2)
  }
  await expectOnly(dir.path, [])
})

test('two ranges with --original-offset land at their places in one file', STORY, async () => {
  await using dir = await tempDir('dfget')
  const args = [nginx.url('dir/f.bin'), '-O', dir.join('f'), '--original-offset', ...fresh()]
  expectSuccess(await peer().dfget([...args, '--range', '5000000-5000099']))
  expectSuccess(await peer().dfget([...args, '--range', '10-19']))
  const made = await readFile(dir.join('f'))
  expect(made.length).toBe(5_000_100)
  expect(made.subarray(10, 20)).toEqual(Buffer.from(bytes.subarray(10, 20)))
  expect(made.subarray(5_000_000)).toEqual(Buffer.from(bytes.subarray(5_000_000, 5_000_100)))
  expect(made.subarray(20, 5_000_000).every((byte) => byte === 0)).toBe(true)
})

test('ten dfget at once start one daemon, and the origin is read once', STORY, async () => {
  await using dir = await tempDir('ten')
  await using own = await startOrigin({ content: { size: 20 * MiB, seed: 'ten' } })
  const home = dir.join('home')
  try {
    const rans = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        runProgram('dfget', [own.url(), '-O', dir.join('out', String(index)), '--workhome', home, '--json']),
      ),
    )
    for (const ran of rans) expect(resultOf(ran)).toMatchObject({ bytes: 20 * MiB, by: 'daemon' })
    for (let index = 0; index < 10; index++)
      await expectFile(dir.join('out', String(index)), { size: 20 * MiB, seed: 'ten' })
    expect(processesNaming(home)).toHaveLength(1)
    expect(own.bytesSent).toBe(20 * MiB)
    await expectOnly(dir.join('out'), '0123456789'.split(''))
  } finally {
    await endProcesses(processesNaming(home))
  }
})

test('version, help and completion answer every program', STORY, async () => {
  for (const program of ['dfget', 'dfdaemon', 'cdn', 'scheduler'] as const) {
    const version = await runProgram(program, ['version'])
    expect([version.code, version.stdout]).toEqual([0, expect.stringMatching(/\d+\.\d+\.\d+/)])
    const help = await runProgram(program, ['--help'])
    expect([help.code, help.stdout]).toEqual([0, expect.stringContaining('--help')])
    for (const shell of ['bash', 'zsh', 'fish']) {
      const completion = await runProgram(program, ['completion', shell])
      expect([completion.code, completion.stdout]).toEqual([0, expect.stringContaining(program)])
    }
  }
  expect((await runProgram('dfget', ['--help'])).stdout).toMatch(/--original-offset/)
  expect((await runProgram('dfget', ['daemon', '--help'])).stdout).toMatch(/--upload-piece-port/)
})

test('unknown flags are errors that name the flag', STORY, async () => {
  for (const [program, args] of [
    ['dfget', [nginx.url('dir/f.bin'), '--schedulers', 'x:1']],
    ['dfdaemon', ['--no-such-flag']],
    ['cdn', ['--no-such-flag']],
    ['scheduler', ['--no-such-flag']],
  ] as const) {
    const ran = await runProgram(program, args)
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(/--(schedulers|no-such-flag)/)])
  }
})

test('--json prints one object and nothing else, for good and bad endings', STORY, async () => {
  await using dir = await tempDir('dfget')
  const good = await peer().dfget([nginx.url('dir/f.bin'), '-O', dir.join('f'), '--json', ...fresh()])
  expect(resultOf(good)).toMatchObject({ success: true, bytes: content.size, contentLength: content.size })
  expect(good.stdout.trim().split('\n')).toHaveLength(1)
  const bad = await peer().dfget([nginx.url('missing'), '-O', dir.join('g'), '--json'])
  expect(bad.code).toBe(4)
  expect(JSON.parse(bad.stdout)).toMatchObject({ success: false, code: 'source.not_found', exit: 4 })
})

test('-O - gives the bytes in order on stdout, and the talk on stderr', STORY, async () => {
  for (const pattern of ['p2p', 'source']) {
    const ran = await peer().dfget([nginx.url('dir/f.bin'), '-O', '-', '-p', pattern, ...fresh()])
    expectSuccess(ran)
    expect(Buffer.compare(ran.stdoutBytes, bytes)).toBe(0)
    expect(ran.stderr).toMatch(/download success: true/)
    const part = await peer().dfget([nginx.url('dir/f.bin'), '-O', '-', '-p', pattern, '--range', '4194300-4194310'])
    expect(Buffer.compare(part.stdoutBytes, bytes.subarray(4_194_300, 4_194_311))).toBe(0)
  }
})

test('-O - gives its first bytes while the rest is still on its way', STORY, async () => {
  await using own = await startOrigin({ content, faults: { stallAfterBytes: 5 * MiB } })
  await using running = await peer().startDfget([own.url(), '-O', '-'])
  const { until } = await import('#devnet')
  await until(() => running.stdoutBytes().length >= 4 * MiB, { what: 'the first piece on stdout' })
  expect(running.running).toBe(true)
  own.faults.stallAfterBytes = undefined
  expect(await running.exited).toMatchObject({ code: 0 })
  expect(Buffer.compare(running.stdoutBytes(), bytes)).toBe(0)
})

test('a reader that leaves early ends the download quietly', STORY, async () => {
  const { run, programPath, PROGRAM_ENV } = await import('#devnet')
  const line = [
    process.execPath,
    programPath('dfget'),
    nginx.url('dir/f.bin'),
    '-O',
    '-',
    ...peer().address,
    ...fresh(),
  ]
  const ran = await run('sh', ['-c', `${line.join(' ')} | head -c 100 | sha256sum`], { env: PROGRAM_ENV })
  expect(ran.stdout).toContain(createHash('sha256').update(bytes.subarray(0, 100)).digest('hex'))
  expect(ran.stderr).not.toMatch(/at .*\.m?js:/)
})

test('an existing file stays as it is until the new one is whole', STORY, async () => {
  await using dir = await tempDir('dfget')
  const { writeFile } = await import('node:fs/promises')
  await writeFile(dir.join('f'), 'the old one')
  for (const pattern of ['p2p', 'source']) {
    const failed = await peer().dfget([nginx.url('missing'), '-O', dir.join('f'), '-p', pattern])
    expect(failed.code).toBe(4)
    expect(await readFile(dir.join('f'), 'utf8')).toBe('the old one')
  }
  await using own = await startOrigin({ content, faults: { stallAfterBytes: 5 * MiB } })
  await using running = await peer().startDfget([own.url(), '-O', dir.join('f')])
  const { until } = await import('#devnet')
  await until(() => own.bytesSent >= 5 * MiB)
  expect(await readFile(dir.join('f'), 'utf8')).toBe('the old one')
  own.faults.stallAfterBytes = undefined
  expect(await running.exited).toMatchObject({ code: 0 })
  await expectFile(dir.join('f'), content)
})

test('an output that was linked is not changed by what happens to the task or to the file later', STORY, async () => {
  await using dir = await tempDir('dfget')
  const { writeFile, open } = await import('node:fs/promises')
  const tag = fresh()
  expectSuccess(await peer().dfget([nginx.url('dir/f.bin'), '-O', dir.join('1'), ...tag]))
  const file = await open(dir.join('1'), 'r+')
  await file.write('scribbled over')
  await file.close()
  expectSuccess(await peer().dfget([nginx.url('dir/f.bin'), '-O', dir.join('2'), ...tag]))
  await expectFile(dir.join('2'), content)
  await writeFile(dir.join('2'), 'short')
  expectSuccess(await peer().dfget([nginx.url('dir/f.bin'), '-O', dir.join('3'), ...tag]))
  await expectFile(dir.join('3'), content)
})

test('a directory as output is refused, missing directories above a file are made', STORY, async () => {
  await using dir = await tempDir('dfget')
  for (const output of [dir.path, `${dir.path}/`, dir.join('new/')]) {
    const ran = await peer().dfget([nginx.url('dir/f.bin'), '-O', output])
    expect([ran.code, ran.stderr]).toEqual([8, expect.stringContaining('is directory')])
  }
  expectSuccess(await peer().dfget([nginx.url('dir/f.bin'), '-O', dir.join('a/b/c')]))
  expect((await stat(dir.join('a/b/c'))).size).toBe(content.size)
})

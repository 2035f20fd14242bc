import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { crc32 } from '@node-rs/crc32'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DIGEST_ALGORITHMS, type DigestAlgorithm, Failure } from '#core'
import { DigestThread } from './digest-thread.ts'
import { type Hasher, Hashers } from './hashers.ts'
import { contentOf } from './swarm-fixture.ts'

const MiB = 2 ** 20
const PROGRAM = join(import.meta.dirname, '../../dist/digest-thread.mjs')
const large = contentOf(9 * MiB + 7)

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hashers-test-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function digestOf(content: Buffer, algorithm: DigestAlgorithm): string {
  if (algorithm === 'crc32') return crc32(content).toString(16).padStart(8, '0')
  return createHash(algorithm).update(content).digest('hex')
}

/** Gives a content in chunks of odd lengths. */
async function give(hasher: Hasher, content: Buffer, from = 0): Promise<void> {
  for (let offset = from; offset < content.length; ) {
    const wanted = Math.min(700_001, content.length - offset)
    offset += await hasher.take(wanted, async (target) => content.copy(target, 0, offset, offset + target.length))
  }
}

async function digest(hashers: Hashers, content: Buffer, algorithm: DigestAlgorithm, bytes?: number): Promise<string> {
  using hasher = hashers.start(algorithm, bytes)
  await give(hasher, content)
  return await hasher.hex()
}

const failing = (hashers: Hashers): Promise<unknown> =>
  digest(hashers, large, 'sha256').then(
    () => expect.fail('it went well'),
    (error: unknown) => error,
  )

for (const algorithm of DIGEST_ALGORITHMS) {
  test(`${algorithm} is the same, whichever thread makes it`, async () => {
    const thread = new DigestThread()
    const hashers = new Hashers(thread)
    const small = large.subarray(0, 3 * MiB)
    expect(await digest(hashers, small, algorithm, small.length)).toBe(digestOf(small, algorithm))
    expect(await digest(hashers, Buffer.alloc(0), algorithm, 0)).toBe(digestOf(Buffer.alloc(0), algorithm))
    expect(thread.running).toBe(false) // little is not worth a thread
    expect(await digest(hashers, large, algorithm, large.length)).toBe(digestOf(large, algorithm))
    expect(await digest(hashers, small, algorithm)).toBe(digestOf(small, algorithm))
    expect(thread.running).toBe(true)
  })
}

test('many digests at once share the thread and its memory, and none gets the bytes of another', async () => {
  const hashers = new Hashers()
  const contents = Array.from({ length: 24 }, (_, seed) => contentOf(MiB + seed, seed))
  const found = await Promise.all(contents.map((content) => digest(hashers, content, 'sha256')))
  expect(found).toEqual(contents.map((content) => digestOf(content, 'sha256')))
})

test('the thread ends when nobody needs it, and comes back', async () => {
  const thread = new DigestThread({ idleMs: 20 })
  const hashers = new Hashers(thread)
  const open = hashers.start('sha256', undefined)
  expect(await digest(hashers, large, 'sha1')).toBe(digestOf(large, 'sha1'))
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(thread.running).toBe(true) // one is under way still, and all that it was given counts
  open[Symbol.dispose]()
  await vi.waitFor(() => expect(thread.running).toBe(false))
  expect(await digest(hashers, large, 'md5')).toBe(digestOf(large, 'md5'))
})

test('reads that fail take no memory with them', async () => {
  const hashers = new Hashers()
  using hasher = hashers.start('sha256', undefined)
  const failure = new Failure('piece.missing', 'not here')
  for (let time = 0; time < 10; time++) {
    await expect(hasher.take(MiB, () => Promise.reject(failure))).rejects.toBe(failure)
  }
  await give(hasher, large)
  expect(await hasher.hex()).toBe(digestOf(large, 'sha256'))
})

test('a thread that dies fails what was in it with a clear word, and the next digest gets another one', async () => {
  const program = join(dir, 'thread.mjs')
  writeFileSync(
    program,
    `import { parentPort } from 'node:worker_threads'
    parentPort.on('message', ({ kind }) => { if (kind === 'hex') throw new Error('out of luck') })
    parentPort.on('message', ({ kind, at }) => { if (kind === 'bytes') parentPort.postMessage({ kind: 'done', at }) })`,
  )
  const hashers = new Hashers(new DigestThread({ program }))
  expect(await failing(hashers)).toMatchObject({ code: 'internal', message: expect.stringContaining('out of luck') })
  writeFileSync(program, `import ${JSON.stringify(pathToFileURL(PROGRAM).href)}`)
  expect(await digest(hashers, large, 'sha256')).toBe(digestOf(large, 'sha256'))
})

test('who waits for the memory of a thread that dies is told, too', async () => {
  const program = join(dir, 'thread.mjs')
  writeFileSync(
    program,
    `import { parentPort } from 'node:worker_threads'
    let got = 0
    parentPort.on('message', ({ kind }) => { if (kind === 'bytes' && ++got === 4) setTimeout(() => process.exit(3), 100) })`,
  )
  const hashers = new Hashers(new DigestThread({ program }))
  const failures = await Promise.all([failing(hashers), failing(hashers)])
  for (const failure of failures) expect(failure).toMatchObject({ code: 'internal' })
})

test('a thread that cannot start is a clear failure', async () => {
  const hashers = new Hashers(new DigestThread({ program: join(dir, 'nothing.mjs') }))
  expect(await failing(hashers)).toMatchObject({ code: 'internal', message: expect.stringContaining('nothing.mjs') })
})

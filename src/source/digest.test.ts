import { expect, test } from 'vitest'
import { Failure } from '#core'
import { sourceFromClient } from './client-source.ts'
import type { ResourceClient } from './contract.ts'
import type { Answer } from './source.ts'
import { testSink } from './test-sink.ts'

const SHA1 = `sha1:${'0a'.repeat(20)}`
const request = { url: 'npm://host/left-pad@1.0.0', headers: {} }
const signal = new AbortController().signal

function source(digest: unknown) {
  const said = { digest } as { digest: string }
  const client: ResourceClient = {
    stat: async () => ({ contentLength: 3, supportsRange: false, expireInfo: {}, headers: {}, ...said }),
    download: async () => ({ body: new Uint8Array(3), ...said }),
  }
  return sourceFromClient(client, { scheme: 'npm', inTree: false, warn: () => undefined })
}

async function answerOf(digest: unknown): Promise<Answer | undefined> {
  let answer: Answer | undefined
  const onAnswer = (said: Answer): void => void (answer = said)
  await source(digest).read(request, testSink(), { signal, onAnswer })
  return answer
}

test('a digest that the origin publishes is told, described and read', async () => {
  const digest = { algorithm: 'sha1', hex: '0a'.repeat(20) }
  expect(await source(SHA1.toUpperCase()).describe(request, signal)).toMatchObject({ digest })
  expect(await answerOf(SHA1)).toMatchObject({ digest })
  expect(await source(undefined).describe(request, signal)).not.toHaveProperty('digest')
  expect(await answerOf(undefined)).not.toHaveProperty('digest')
})

for (const nonsense of [
  '',
  'sha1',
  'sha1:0a',
  'crc32:0a0a0a0a',
  'sha3:00',
  `sha1:${'zz'.repeat(20)}`,
  7,
  {},
  ['md5'],
]) {
  test(`a digest like ${JSON.stringify(nonsense)} is told as the client's mistake`, async () => {
    for (const told of [() => source(nonsense).describe(request, signal), () => answerOf(nonsense)]) {
      const failure = await told().catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(Failure)
      expect(failure).toMatchObject({ code: 'source.broken' })
      expect(String(failure)).toMatch(/plugin npm: its digest is /)
    }
  })
}

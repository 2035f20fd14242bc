import { expect, onTestFinished, test } from 'vitest'
import type { ResourceClient, SourceRequest } from '#source'
import { closeBody } from '#source'
import { apartClient } from './apart-client.ts'
import { CallBook } from './call-book.ts'
import { encodeHeader, encodeMessage, FRAME } from './frames.ts'
import { Supervised } from './supervised.ts'
import { type TestChild, testChild } from './test-child.ts'

const json = (value: unknown): Buffer => encodeMessage(FRAME.json, value)
const error = (value: unknown): Buffer => encodeMessage(FRAME.error, value)
const end = encodeHeader(FRAME.end, 0)

interface Asked {
  readonly client: ResourceClient
  readonly child: TestChild
  /** Calls that ended, by method and code, and the bytes that came. */
  readonly counted: () => Record<string, number>
}

/** A client of a process that answers every question with these bytes, and waits. */
async function asked(...said: readonly Buffer[]): Promise<Asked> {
  const child = await testChild((socket) => void socket.write(Buffer.concat(said)))
  const book = new CallBook()
  const supervised = new Supervised({
    name: 'plugin x',
    start: async () => child,
    memoryBytes: 2 ** 40,
    hangTimeoutMs: 60_000,
    crashes: 5,
    coolDownMs: 1000,
    warn() {},
    onStart() {},
    onEnd() {},
  })
  await supervised.open()
  onTestFinished(() => supervised[Symbol.asyncDispose]())
  const scrub = (text: string): string => text.replaceAll('s3cr3t', '[hidden]')
  const methods = ['download', 'list', 'getContentLength']
  return {
    child,
    client: apartClient(supervised, { scheme: 'x', name: 'plugin x', methods, book, scrub }),
    counted: () =>
      Object.fromEntries(
        book
          .samples()
          .filter(({ name }) => !name.includes('seconds'))
          .map(({ labels, value }) => [Object.values(labels).slice(1).join(' ') || 'bytes', value]),
      ),
  }
}

function requestOf(signal = new AbortController().signal): SourceRequest {
  return { url: 'x://host/f', headers: {}, signal }
}

const download = [json({}), encodeHeader(FRAME.bytes, 3), Buffer.from('abc'), end]

test('it has the methods that the plugin has', async () => {
  const { client } = await asked()
  expect(Object.keys(client).toSorted()).toEqual(['download', 'getContentLength', 'list'])
})

test('a download is counted when its body has ended, with its bytes', async () => {
  const { client, counted } = await asked(...download)
  const { body } = await client.download(requestOf())
  expect(counted()).toEqual({})
  for await (const _ of body as AsyncIterable<Uint8Array>);
  closeBody(body)
  expect(counted()).toEqual({ 'download ok': 1, bytes: 3 })
})

test('a body that nobody reads is let go of: its call is over, and counted once', async () => {
  const { client, child, counted } = await asked(...download)
  const { body } = await client.download(requestOf())
  closeBody(body)
  closeBody(body)
  await expect.poll(() => child.open).toBe(0)
  expect(counted()).toEqual({ 'download ok': 1 })
})

test('what fails is counted by its code, and a code that a plugin makes up is none', async () => {
  for (const [code, counted] of [
    ['source.denied', 'source.denied'],
    ['source.made_up_7', 'source.broken'],
    ['plugin.down', 'source.broken'],
    [undefined, 'source.broken'],
  ]) {
    const one = await asked(error({ code, message: 'no' }))
    await expect(one.client.download(requestOf())).rejects.toThrow('no')
    await expect(one.client.getContentLength!(requestOf())).rejects.toThrow('no')
    expect(one.counted()).toEqual({ [`download ${counted}`]: 1, [`getContentLength ${counted}`]: 1 })
  }
})

test('a call that is aborted, or whose time is over, is counted as cancelled', async () => {
  for (const signal of [AbortSignal.abort(), AbortSignal.timeout(20)]) {
    const { client, counted } = await asked()
    const failure: unknown = await client.download(requestOf(signal)).catch((error: unknown) => error)
    expect(failure).toBe(signal.reason)
    expect(counted()).toEqual({ 'download cancelled': 1 })
  }
})

test('a listing that is left early is over, and counted once', async () => {
  const { client, child, counted } = await asked(json({ url: 'a' }), json({ url: 'b' }))
  for await (const _ of client.list!(requestOf())) break
  await expect.poll(() => child.open).toBe(0)
  expect(counted()).toEqual({ 'list ok': 1 })
})

test('what a plugin throws is told without its secrets, wherever it comes', async () => {
  const thrown = error({ code: 'source.denied', message: 'not with s3cr3t' })
  for (const said of [[], [json({})]]) {
    const { client } = await asked(...said, thrown)
    const reading = async (): Promise<void> => {
      for await (const _ of (await client.download(requestOf())).body as AsyncIterable<Uint8Array>);
    }
    const failure: unknown = await reading().catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'source.denied', message: 'not with [hidden]' })
    expect((failure as Error).stack).not.toContain('s3cr3t')
  }
})

test('what befell the process is told with the name of the plugin and the URL', async () => {
  const { client, child } = await asked()
  const reading = client.download(requestOf())
  await expect.poll(() => child.open).toBe(1)
  child.kill({ code: 'plugin.hung', what: 'it did not react' })
  await expect(reading).rejects.toMatchObject({
    code: 'plugin.hung',
    message: 'cannot read x://host/f: plugin x: it did not react',
  })
})

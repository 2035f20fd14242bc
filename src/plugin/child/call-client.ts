import { types } from 'node:util'
import { type ExpireInfo, kindOf, type SourceRequest, X_DRAGONFLY_RANGE } from '#source'
import type { PlainRequest } from '../apart/messages.ts'

/** Calls one of the methods of a client that answer with plain data. */
export async function callMethod(
  client: object,
  method: string,
  plain: PlainRequest,
  info: ExpireInfo | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  const args: unknown[] = [requestOf(plain, signal)]
  if (info !== undefined) args.push(info)
  const result: unknown = await Reflect.apply(methodOf(client, method), client, args)
  refuseUnspeakable(`the answer of ${method}`, result)
  if (method === 'stat')
    refuseUnspeakable('contentLength', (Object(result) as { contentLength?: unknown }).contentLength)
  return result
}

/** The answer to a download, but its body, and the body. */
export async function downloadFor(
  client: object,
  plain: PlainRequest,
  signal: AbortSignal,
): Promise<{ head: unknown; body: Uint8Array | AsyncIterable<unknown> }> {
  const response: unknown = await Reflect.apply(methodOf(client, 'download'), client, [requestOf(plain, signal)])
  if (typeof response !== 'object' || response === null) throw new Error('download gave no response')
  const { body, status, headers, contentLength, expireInfo, digest } = response as Record<string, unknown>
  // What JSON has no word for would arrive as if nothing had been said.
  refuseUnspeakable('status', status)
  refuseUnspeakable('contentLength', contentLength)
  const head = { status, headers, contentLength: contentLength ?? lengthOf(body), expireInfo, digest }
  // Anything but the two good statuses is told by its number: nobody reads that body.
  if (typeof status === 'number' && status !== 200 && status !== 206) return { head, body: new Uint8Array() }
  if (body === undefined || body === null) throw new Error('the response has no body')
  if (types.isUint8Array(body)) {
    if (typeof contentLength === 'number' && contentLength >= 0 && contentLength !== body.length)
      throw new Error(`contentLength is ${contentLength} but the body has ${body.length} bytes`)
    return { head, body }
  }
  if (typeof body === 'object' && Symbol.asyncIterator in body) return { head, body: body as AsyncIterable<unknown> }
  throw new Error(`the body is ${kindOf(body)}, expected a Uint8Array or a stream of them`)
}

export async function* entriesFor(client: object, plain: PlainRequest, signal: AbortSignal): AsyncGenerator {
  const list: unknown = await Reflect.apply(methodOf(client, 'list'), client, [requestOf(plain, signal)])
  if (typeof list !== 'object' || list === null || !(Symbol.asyncIterator in list || Symbol.iterator in list))
    throw new Error(`list gave ${kindOf(list)}, expected a sequence of entries`)
  for await (const entry of list as AsyncIterable<unknown>) yield entry
}

function refuseUnspeakable(what: string, value: unknown): void {
  const isOdd = typeof value === 'number' && !Number.isFinite(value)
  if (isOdd || typeof value === 'bigint')
    throw new Error(`${what} is ${isOdd ? String(value) : 'a bigint'}, expected a plain number`)
}

function lengthOf(body: unknown): number | undefined {
  return types.isUint8Array(body) ? body.length : undefined
}

type Method = (...args: readonly unknown[]) => unknown

function methodOf(client: object, name: string): Method {
  const method: unknown = Reflect.get(client, name)
  if (typeof method === 'function') return method as Method
  throw Object.assign(new Error(`it has no method ${name}`), { code: 'source.not_supported' })
}

/** The range can also be looked up under its constant, without being listed twice. */
function requestOf({ url, headers, range }: PlainRequest, signal: AbortSignal): SourceRequest {
  const fields = { ...headers }
  const raw = fields[X_DRAGONFLY_RANGE.toLowerCase()]
  if (raw !== undefined) Object.defineProperty(fields, X_DRAGONFLY_RANGE, { value: raw, enumerable: false })
  return { url, headers: fields, signal, ...(range === undefined ? {} : { range }) }
}

import type { Socket } from 'node:net'
import { type DownloadTaskResponse, downloadService, failureOf, FrameReader, framed } from '#api'
import { Failure, messageOf } from '#core'
import {
  FLAG,
  FRAME,
  type Frame,
  FrameCutter,
  frame,
  HEAD_BYTES,
  LARGEST_PAYLOAD_BYTES,
  settings,
  unpadded,
  windowUpdate,
} from './h2-frames.ts'
import { decodeFields, encodeFields } from './hpack.ts'

type Request = Parameters<typeof downloadService.downloadTask.request.encode>[0]

const METHOD = downloadService.downloadTask
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const SETTING = { HEADER_TABLE_SIZE: 1, ENABLE_PUSH: 2, INITIAL_WINDOW_SIZE: 4 } as const
const STREAM = 1
const FIRST_WINDOW = 65_535
const WINDOW = 2 ** 20
/** More is not asked for while so much waits to be taken. */
const WAITING_BYTES = 2 ** 20
/** What a message that waits takes beside its bytes, about. */
const MESSAGE_BYTES = 256
/** Bytes that were used up before the other side is given them back. */
const OWED_BYTES = 256 * 1024
const HEADERS_TIMEOUT_MS = 10_000
/** With the heads of their frames: frames of nothing have an end, too. */
const MOST_HEADER_BYTES = 64 * 1024

/**
 * DownloadTask of a daemon that listens on this machine: gRPC over HTTP/2, spoken here by hand for this one call.
 * Loading node:http2 takes as long as all the rest of a dfget that asks for a small file. Dispose of it when done.
 */
export class DaemonCall implements Disposable {
  readonly #socket: Socket
  readonly #name: string
  readonly #frames = new FrameCutter()
  readonly #messages = new FrameReader(METHOD.maxResponseBytes ?? 0)
  readonly #patience: NodeJS.Timeout
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #owed = 0
  /** Headers that come in several frames, and whether the answer ends with them. */
  #block: Buffer[] = []
  #blockBytes = 0
  #lastBlock = false
  #headers: Record<string, string> | undefined
  /** What is left of the question, and how much of it the daemon takes: of the call, and of the connection. */
  #unsent: Uint8Array
  readonly #room = { call: FIRST_WINDOW, connection: FIRST_WINDOW }
  #callRoom = FIRST_WINDOW
  #over: { readonly failure: Failure | undefined } | undefined
  #wake: () => void = () => undefined

  /** Asks over a socket that is connected. `name` is how failures name the daemon. */
  constructor(socket: Socket, name: string, request: Request) {
    this.#socket = socket
    this.#name = name
    this.#patience = setTimeout(() => this.#fail(`no answer within ${HEADERS_TIMEOUT_MS} ms`), HEADERS_TIMEOUT_MS)
    socket.on('data', (chunk) => this.#arrived(chunk))
    socket.on('error', (error) => this.#fail(messageOf(error), error))
    socket.on('close', () => this.#fail('the connection was lost'))
    this.#unsent = framed(METHOD.request.encode(request).finish())
    socket.cork()
    socket.write(hello())
    this.#sendOn()
    socket.uncork()
  }

  /** The answers until the call ends; throws the daemon's own failure, or `daemon.unavailable`. For one reader. */
  async *responses(signal: AbortSignal): AsyncGenerator<DownloadTaskResponse, undefined> {
    const stop = (): void => this.#end(signal.reason as Failure)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      for (;;) {
        const bytes = this.#waiting.shift()
        if (bytes !== undefined) yield this.#taken(bytes)
        else if (this.#over === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
        else if (this.#over.failure === undefined) return undefined
        else throw this.#over.failure
      }
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  [Symbol.dispose](): void {
    this.#end(undefined)
    clearTimeout(this.#patience)
  }

  #taken(bytes: Uint8Array): DownloadTaskResponse {
    this.#waitingBytes -= bytes.length + MESSAGE_BYTES
    this.#giveBack()
    try {
      return METHOD.response.decode(bytes)
    } catch (error) {
      throw this.#fail(`it sent a wrong message: ${messageOf(error)}`, error)
    }
  }

  #arrived(chunk: Buffer): void {
    try {
      for (const one of this.#frames.push(chunk)) if (this.#over === undefined) this.#take(one)
    } catch (error) {
      this.#fail(messageOf(error), error)
    }
    this.#wake()
  }

  #take(one: Frame): void {
    const { type, flags, stream, payload } = one
    if (this.#block.length > 0 && type !== FRAME.CONTINUATION) throw new Error('it broke off its headers')
    if (type === FRAME.SETTINGS && (flags & FLAG.ACK) === 0) this.#takeSettings(payload)
    if (type === FRAME.WINDOW_UPDATE && payload.length >= 4) this.#takeRoom(stream, payload.readUInt32BE(0))
    if (type === FRAME.PING && (flags & FLAG.ACK) === 0) this.#send(frame(FRAME.PING, FLAG.ACK, 0, payload))
    if (type === FRAME.GOAWAY && payload.length >= 4 && payload.readUInt32BE(0) < STREAM)
      throw new Error('it goes away')
    if (stream !== STREAM) return
    if (type === FRAME.DATA) this.#takeData(one)
    if (type === FRAME.HEADERS) this.#takeHeaders(unpadded(one), flags)
    if (type === FRAME.CONTINUATION) this.#takeHeaders(payload, flags)
    if (type === FRAME.RST_STREAM)
      throw new Error(`it ended the call (${payload.length < 4 ? '' : payload.readUInt32BE(0)})`)
  }

  #takeSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== SETTING.INITIAL_WINDOW_SIZE) continue
      const callRoom = payload.readUInt32BE(at + 2)
      this.#room.call += callRoom - this.#callRoom
      this.#callRoom = callRoom
    }
    this.#send(frame(FRAME.SETTINGS, FLAG.ACK, 0))
    this.#sendOn()
  }

  #takeRoom(stream: number, bytes: number): void {
    if (stream === 0) this.#room.connection += bytes
    if (stream === STREAM) this.#room.call += bytes
    this.#sendOn()
  }

  /** Sends of the question what the daemon takes now. */
  #sendOn(): void {
    while (this.#unsent.length > 0) {
      const length = Math.min(this.#unsent.length, this.#room.call, this.#room.connection, LARGEST_PAYLOAD_BYTES)
      if (length <= 0) return
      const part = this.#unsent.subarray(0, length)
      this.#unsent = this.#unsent.subarray(length)
      this.#room.call -= length
      this.#room.connection -= length
      this.#send(frame(FRAME.DATA, this.#unsent.length === 0 ? FLAG.END_STREAM : 0, STREAM, part))
    }
  }

  #takeData(one: Frame): void {
    this.#owed += one.payload.length
    if (this.#owed > WINDOW) throw new Error('it sent more than it was let')
    for (const message of this.#messages.push(unpadded(one))) {
      this.#waiting.push(message)
      this.#waitingBytes += message.length + MESSAGE_BYTES
    }
    if ((one.flags & FLAG.END_STREAM) !== 0) throw new Error('it ended the answer without a word why')
    this.#giveBack()
  }

  #takeHeaders(part: Buffer, flags: number): void {
    if (this.#block.length === 0) this.#lastBlock = (flags & FLAG.END_STREAM) !== 0
    this.#block.push(part)
    this.#blockBytes += HEAD_BYTES + part.length
    if (this.#blockBytes > MOST_HEADER_BYTES) throw new Error('its headers are too large')
    if ((flags & FLAG.END_HEADERS) === 0) return
    const fields = decodeFields(Buffer.concat(this.#block))
    this.#block = []
    this.#blockBytes = 0
    clearTimeout(this.#patience)
    this.#headers ??= fields
    if (this.#lastBlock) this.#ended(fields)
  }

  /** The daemon told how the call ended. */
  #ended(fields: Readonly<Record<string, string>>): void {
    const { ':status': status = '200' } = this.#headers ?? {}
    if (fields['grpc-status'] === undefined) throw new Error(`it is no gRPC server (HTTP ${status})`)
    const failure = failureOf(fields, this.#name, { unavailable: 'daemon.unavailable', notFound: 'task.unknown' })
    if (failure === undefined && !this.#messages.idle) throw new Error('the answer was cut off')
    this.#end(failure)
  }

  /** Lets the daemon send as much again as was used up. */
  #giveBack(): void {
    if (this.#owed < OWED_BYTES || this.#waitingBytes > WAITING_BYTES || this.#over !== undefined) return
    this.#send(Buffer.concat([windowUpdate(0, this.#owed), windowUpdate(STREAM, this.#owed)]))
    this.#owed = 0
  }

  #send(bytes: Buffer): void {
    if (this.#socket.writable) this.#socket.write(bytes)
  }

  #fail(why: string, cause?: unknown): Failure {
    const message = `${this.#name} did not answer ${METHOD.path}: ${why}`
    const failure = new Failure('daemon.unavailable', message, { cause })
    this.#end(failure)
    return failure
  }

  /** The first reason counts. What came before it is still given. */
  #end(failure: Failure | undefined): void {
    if (this.#over !== undefined) return
    this.#over = { failure }
    clearTimeout(this.#patience)
    this.#socket.destroy()
    this.#wake()
  }
}

/** All that comes before the question. */
function hello(): Buffer {
  const fields = encodeFields({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': METHOD.path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  const { HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE } = SETTING
  return Buffer.concat([
    Buffer.from(PREFACE),
    settings({ [HEADER_TABLE_SIZE]: 0, [ENABLE_PUSH]: 0, [INITIAL_WINDOW_SIZE]: WINDOW }),
    windowUpdate(0, WINDOW - FIRST_WINDOW),
    frame(FRAME.HEADERS, FLAG.END_HEADERS, STREAM, fields),
  ])
}

import { request as httpRequest } from 'node:http'
import { Duplex } from 'node:stream'
import { type ByteSink, fill } from '#core'
import type { PourableBody } from '../pour-body.ts'
import { broken, type SourceError } from '../source-error.ts'
import { ConnectionSlots } from './connection-slots.ts'
import { type ConnectionReader, DirectConnection } from './direct-connection.ts'
import type { HttpAnswer, HttpBody } from './http-answer.ts'
import { answerOf, connectionError, type HttpQuestion, LARGEST_HEAD_BYTES, type Send } from './http-exchange.ts'
import { parsePlainHead } from './http-head.ts'

const CHUNK_BYTES = 64 * 1024
const END_OF_HEAD = Buffer.from('\r\n\r\n')

/**
 * GET over plain http, with the body going from the kernel straight into the sink: no stream, no copy. Answers that are
 * not of the plainest kind are handed, with what came of them so far, to node's own parser: they are never asked twice.
 * Everything else goes to `otherwise`.
 */
export function directSender(otherwise: Send, maxConnections: number): Send {
  const slots = new ConnectionSlots(maxConnections)
  return async (question) => {
    if (question.method !== 'GET' || question.url.protocol !== 'http:') return otherwise(question)
    const release = await slots.take(question.url.host, question.signal)
    const connection = open(question, release)
    const head = await readHead(connection)
    const text = head.end < 0 ? '' : head.bytes.toString('latin1', 0, head.end)
    const plain = parsePlainHead(text)
    if (plain === undefined) return parsedByNode(question, connection, head.bytes)
    const { status, headers, length } = plain
    const body = new DirectBody(connection, head.bytes.subarray(head.end + END_OF_HEAD.length), length)
    return { url: question.url, status, headers, body }
  }
}

function open({ url, headers, signal }: HttpQuestion, onClose: () => void): DirectConnection {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const connection = new DirectConnection({ host, port: Number(url.port || 80), signal, onClose })
  const { host: name = url.host, ...others } = headers
  const fields = Object.entries(others).map(([name, value]) => `${name}: ${value}\r\n`)
  const lines = `GET ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${name}\r\n${fields.join('')}`
  connection.write(`${lines}connection: close\r\n\r\n`)
  return connection
}

interface Head {
  /** All that came so far. */
  readonly bytes: Buffer
  /** Where the empty line begins; −1 when the connection ended or the room was used up before it came. */
  readonly end: number
}

/** Everything up to the end of the head, and what came along with it. */
function readHead(connection: DirectConnection): Promise<Head> {
  return new Promise((resolve, reject) => {
    const bytes = Buffer.allocUnsafeSlow(LARGEST_HEAD_BYTES)
    let held = 0
    const done = (end: number): void => {
      connection.readTo(undefined)
      resolve({ bytes: bytes.subarray(0, held), end })
    }
    connection.readTo({
      space: () => bytes.subarray(held),
      took(length) {
        const from = Math.max(held - END_OF_HEAD.length + 1, 0)
        held += length
        const at = bytes.subarray(from, held).indexOf(END_OF_HEAD)
        if (at < 0 && held < LARGEST_HEAD_BYTES) return true
        done(at < 0 ? -1 : from + at)
        return false
      },
      ended(error) {
        if (error === undefined) done(-1)
        else reject(error)
      },
    })
  })
}

/** A body of known length, sent as it is. */
class DirectBody implements HttpBody, PourableBody {
  readonly #connection: DirectConnection
  /** Came along with the head. */
  readonly #first: Uint8Array
  readonly #length: number

  constructor(connection: DirectConnection, first: Uint8Array, length: number) {
    this.#connection = connection
    this.#first = first.subarray(0, length)
    this.#length = length
  }

  async pour(sink: ByteSink): Promise<number> {
    try {
      const given = await fill(sink, this.#first)
      return given === this.#length || sink.full ? given : await this.#pourRest(sink, given)
    } finally {
      this.destroy()
    }
  }

  #pourRest(sink: ByteSink, before: number): Promise<number> {
    const connection = this.#connection
    let given = before
    return new Promise((resolve, reject) => {
      const settle = (end: () => void): false => {
        connection.readTo(undefined)
        end()
        return false
      }
      connection.readTo({
        space: () => sink.space().subarray(0, this.#length - given),
        took: (length) => {
          try {
            given += length
            const more = sink.filled(length)
            if (given === this.#length || sink.full) return settle(() => resolve(given))
            if (more) return true
          } catch (error) {
            return settle(() => reject(error))
          }
          sink.drained().then(
            () => connection.resume(),
            (error: unknown) => settle(() => reject(error)),
          )
          return false
        },
        ended: (error) => settle(() => reject(error ?? this.#brokenOff(given))),
      })
    })
  }

  /** For who wants chunks: each is read when it is asked for, into memory of its own. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let given = this.#first.length
    let buffer = new Uint8Array(0)
    let wake: (result: Uint8Array | Error) => void = () => undefined
    const reader: ConnectionReader = {
      space: () => (buffer = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(this.#length - given, 1)))),
      took(length) {
        given += length
        wake(buffer.subarray(0, length))
        return false
      },
      ended: (error) => wake(error ?? this.#brokenOff(given)),
    }
    try {
      if (given > 0) yield Uint8Array.from(this.#first)
      while (given < this.#length) {
        const next = new Promise<Uint8Array | Error>((resolve) => (wake = resolve))
        this.#connection.readTo(reader)
        const chunk = await next
        if (chunk instanceof Error) throw chunk
        yield chunk
      }
    } finally {
      this.destroy()
    }
  }

  #brokenOff(given: number): SourceError {
    return broken(`the connection broke off after ${given} of ${this.#length} bytes`)
  }

  destroy(): void {
    this.#connection.destroy()
  }
}

/** Lets node's own parser read an answer whose first bytes came already. What it writes was sent before. */
function parsedByNode(question: HttpQuestion, connection: DirectConnection, bytes: Buffer): Promise<HttpAnswer> {
  const { url, method, headers } = question
  return new Promise((resolve, reject) => {
    const createConnection = (): Duplex => replay(connection, bytes)
    const request = httpRequest({ method, headers, createConnection, maxHeaderSize: LARGEST_HEAD_BYTES })
    request.once('response', (message) => resolve(answerOf(url, message)))
    request.on('error', (error) => reject(connectionError(error)))
    request.end()
  })
}

function replay(connection: DirectConnection, first: Buffer): Duplex {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  const duplex = new Duplex({
    read: () => connection.resume(),
    write: (_chunk, _encoding, done) => done(),
    destroy(error, done) {
      connection.destroy()
      done(error)
    },
  })
  if (first.length > 0) duplex.push(first)
  connection.readTo({
    space: () => buffer,
    took: (length) => duplex.push(Buffer.from(buffer.subarray(0, length))),
    ended(error) {
      if (error === undefined) duplex.push(null)
      else duplex.destroy(error)
    },
  })
  return duplex
}

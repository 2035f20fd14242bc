import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '#core'
import { isSourceCode, SourceError } from '#source'
import {
  decodeHeader,
  decodeMessage,
  encodeMessage,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FrameKind,
} from './frames.ts'
import type { ErrorMessage, Question } from './messages.ts'
import type { RunningProcess } from './plugin-process.ts'

/** Who takes the bytes of a body. Memory handed out is left alone until the next read (see DirectConnection). */
export interface BodyReader {
  /** Where the next bytes go, at most `most` of them. */
  space(most: number): Uint8Array
  /** False: no more until `resume`. Throws to end the call. */
  took(length: number): boolean
  ended(): void
  failed(error: unknown): void
}

/** How long the reason of a process's end may come after its connections broke. */
const ENDING_MS = 1000
const LOOK_FOR_ENDING_MS = 10
/** What Linux says when a plugin that is busy has hundreds of connections to accept. */
const QUEUE_FULL = 'EAGAIN'
const RECONNECT_MS = 20
const NO_ROOM_HERE: readonly string[] = ['EMFILE', 'ENFILE']

/**
 * One question to a plugin's process, and what it answers. A connection of its own: the kernel keeps the two sides in
 * step, and hanging up tells the plugin that nobody listens any more.
 */
export class Call {
  readonly #plugin: RunningProcess
  readonly #question: Buffer
  readonly #ask: Question['ask']
  #socket: Socket
  readonly #signal: AbortSignal
  readonly #onClose: () => void
  readonly #onAbort = (): void => this.#finish({ error: this.#signal.reason as unknown })
  /** The header or message that is being read, and how much of it is there. */
  #wanted = new Uint8Array(FRAME_HEADER_BYTES)
  #have = 0
  #frame: FrameHeader | undefined
  /** Bytes of the body still to come in this frame. */
  #left = 0
  #body: BodyReader | undefined
  #connected = false
  #connectError = ''
  /** Nobody takes the body yet: the next read gets one byte, because its memory is asked for now. */
  readonly #single = new Uint8Array(1)
  #usesSingle = false
  readonly #messages: unknown[] = []
  /** The first message is here: what comes after it depends on what was asked. */
  #answered = false
  #wake: () => void = () => undefined
  #over: { readonly error: unknown } | undefined

  /** Throws for a question that is too large; then nothing was opened, and nobody hears of an end. */
  constructor(plugin: RunningProcess, question: Question, how: { signal: AbortSignal; onClose(): void }) {
    const { signal } = how
    this.#plugin = plugin
    this.#signal = signal
    this.#onClose = () => how.onClose()
    this.#ask = question.ask
    this.#question = encodeMessage(FRAME.json, question)
    this.#socket = this.#connect()
    if (signal.aborted) this.#onAbort()
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** True when a connection could be made, or this side had no room for it: that it broke is no sign of a hang. */
  get innocent(): boolean {
    return this.#connected || NO_ROOM_HERE.includes(this.#connectError)
  }

  #connect(): Socket {
    const onread = { buffer: () => this.#space(), callback: (length: number) => this.#arrived(length) }
    const socket = connect({ path: this.#plugin.socket, onread })
    socket.once('connect', () => (this.#connected = true))
    socket.on('error', (error: NodeJS.ErrnoException) => (this.#connectError = error.code ?? ''))
    socket.once('close', () => {
      const full = !this.#connected && this.#connectError === QUEUE_FULL
      void (full ? this.#connectLater() : this.#closed())
    })
    socket.write(this.#question)
    return socket
  }

  /** So many calls wait to be taken that the kernel keeps no more of them: this one waits here. */
  async #connectLater(): Promise<void> {
    await sleep(RECONNECT_MS)
    if (this.#over !== undefined) return
    if (this.#plugin.ending !== undefined) return this.#closed()
    this.#socket = this.#connect()
  }

  /** The next message; undefined at the end. Fails with what the plugin threw, or `plugin.crashed`, `plugin.hung`. */
  async message(): Promise<unknown> {
    for (;;) {
      if (this.#messages.length > 0) {
        const message = this.#messages.shift()
        this.#socket.resume()
        return message
      }
      if (this.#over !== undefined) {
        if (this.#over.error === undefined) return undefined
        throw this.#over.error
      }
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Gives the rest of the call, a body, to a reader. */
  readTo(body: BodyReader): void {
    this.#body = body
    if (this.#over !== undefined) this.#tellEnd()
    else this.#socket.resume()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Hangs up. What was not read is lost. */
  close(): void {
    this.#finish({ error: undefined })
  }

  #space(): Uint8Array {
    this.#usesSingle = false
    if (this.#over !== undefined) return this.#single
    if (this.#left === 0) return this.#wanted.subarray(this.#have)
    if (this.#body === undefined) {
      this.#usesSingle = true
      return this.#single
    }
    try {
      return this.#body.space(this.#left)
    } catch (error) {
      this.#finish({ error })
      return this.#single
    }
  }

  #arrived(length: number): boolean {
    if (this.#over !== undefined) return false
    try {
      return this.#left > 0 ? this.#bodyArrived(length) : this.#messageArrived(length)
    } catch (error) {
      this.#finish({ error })
      return false
    }
  }

  #bodyArrived(length: number): boolean {
    const body = this.#body
    if (body === undefined) return false
    if (this.#usesSingle) body.space(1).set(this.#single)
    this.#left -= length
    return body.took(length) && this.#over === undefined
  }

  #messageArrived(length: number): boolean {
    this.#have += length
    if (this.#have < this.#wanted.length) return true
    if (this.#frame === undefined) return this.#headerArrived(decodeHeader(this.#wanted))
    const { kind } = this.#frame
    const message = decodeMessage(this.#wanted)
    this.#expect(FRAME_HEADER_BYTES, undefined)
    if (message === undefined) throw noProtocol()
    if (kind === FRAME.error) throw thrownBy(message, this.#ask)
    this.#answered = true
    this.#messages.push(message)
    this.#wake()
    return false // until somebody took it: a listing goes at the pace of its reader
  }

  #headerArrived(frame: FrameHeader | undefined): boolean {
    if (frame === undefined || !this.#isDue(frame.kind)) throw noProtocol()
    this.#expect(FRAME_HEADER_BYTES, undefined)
    if (frame.kind === FRAME.end) {
      this.#finish({ error: undefined })
      return false
    }
    if (frame.kind !== FRAME.bytes) {
      this.#expect(frame.length, frame)
      return true
    }
    this.#left = frame.length
    return this.#body !== undefined
  }

  #isDue(kind: FrameKind): boolean {
    if (kind === FRAME.error) return true
    if (kind === FRAME.json) return !this.#answered || this.#ask === 'list'
    return this.#ask === 'download' ? this.#answered : this.#ask === 'list' && kind === FRAME.end
  }

  #expect(bytes: number, frame: FrameHeader | undefined): void {
    this.#wanted = new Uint8Array(bytes)
    this.#have = 0
    this.#frame = frame
  }

  /** The process hung up before the call was over: it ended, or is no better than if it had. */
  async #closed(): Promise<void> {
    for (let ms = 0; this.#plugin.ending === undefined && ms < ENDING_MS; ms += LOOK_FOR_ENDING_MS) {
      if (this.#over !== undefined) return
      await sleep(LOOK_FOR_ENDING_MS) // may be all that a short program still waits for: it keeps the program alive
    }
    const what = 'it hung up in the middle of an answer'
    const ending = this.#plugin.ending ?? { code: 'plugin.crashed', what }
    this.#finish({ error: new Failure(ending.code, ending.what) })
  }

  #finish(over: { readonly error: unknown }): void {
    if (this.#over !== undefined) return
    this.#over = over
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#socket.destroy()
    this.#onClose()
    this.#wake()
    this.#tellEnd()
  }

  #tellEnd(): void {
    const body = this.#body
    this.#body = undefined
    if (this.#over?.error === undefined) body?.ended()
    else body?.failed(this.#over.error)
  }
}

/** Whether the process reacts within the time. One that hangs up, because it has no room for a call more, does. */
export async function ping(plugin: RunningProcess, timeoutMs: number): Promise<boolean> {
  const late = new AbortController()
  // A host that was stopped itself (Ctrl-Z) finds its timer due before it reads an answer that came in time.
  const timer = setTimeout(() => setImmediate(() => late.abort()), timeoutMs).unref()
  const call = new Call(plugin, { ask: 'ping' }, { signal: late.signal, onClose: () => clearTimeout(timer) })
  try {
    await call.message()
    return true
  } catch {
    return plugin.ending !== undefined || (call.innocent && !late.signal.aborted) // the former: somebody has found out
  } finally {
    call.close()
  }
}

function noProtocol(): Failure {
  return new Failure('plugin.crashed', 'it does not keep the protocol of its host')
}

/** What a plugin threw, as an error of ours: by its code where it has one that is for it to give. */
function thrownBy(message: unknown, ask: Question['ask']): Error {
  const { code, message: text, retryAfterMs, lasting } = Object(message) as ErrorMessage
  const said = typeof text === 'string' ? text : 'it does not say why'
  if (code === 'config.invalid' && ask === 'open') return new Failure('config.invalid', said)
  if (!isSourceCode(code)) return new Error(said)
  return new SourceError(code, said, {
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    lasting: lasting === true,
  })
}

import net from 'node:net'
import { Failure, messageOf } from '#core'
import type {
  BlockAsk,
  BlockConnection,
  BlockConnectionOptions,
  BlockHandlers,
  BlockTimes,
} from './block-connection.ts'
import { BlockRequest } from './block-request.ts'
import { BlockWire, type WireOwner } from './block-wire.ts'
import { MAX_REQUESTS } from './codec.ts'
import { SilenceWatch } from './silence-watch.ts'

/** Opens a connection to a parent; requests may be asked before it is up. */
export function openBlocks(options: BlockConnectionOptions): BlockConnection {
  return new DialledBlocks(options, options)
}

/**
 * Requests in their order, over one socket after another: a parent may close a socket on which nothing is asked, and
 * that is no fault of it, nor of the request that finds out.
 */
export class DialledBlocks implements BlockConnection {
  readonly host: string
  readonly port: number
  /** Whoever has the connection now. */
  handlers: BlockHandlers
  readonly #times: BlockTimes
  readonly #watch: SilenceWatch
  readonly #owner: WireOwner
  #waiting: BlockRequest[] = []
  /** How many of those the parent was sent. */
  #sent = 0
  #wire: BlockWire | undefined
  /** Something was asked on a socket that had nothing to do before, and no byte has come since. */
  #onIdle = false
  #over: { readonly error: unknown } | undefined

  constructor(at: { readonly host: string; readonly port: number } & BlockTimes, handlers: BlockHandlers) {
    this.host = at.host
    this.port = at.port
    this.#times = at
    this.handlers = handlers
    this.#watch = new SilenceWatch({
      silentMs: at.silentMs,
      silent: () => this.#silent(),
      late: () => this.#late(),
    })
    this.#owner = this.#wireOwner()
    this.#wire = this.#dial()
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get closed(): boolean {
    return this.#over !== undefined
  }

  /** There is a socket, and nothing is asked over it. */
  get idle(): boolean {
    return this.#over === undefined && this.#wire?.connected === true && this.#waiting.length === 0
  }

  async ask(ask: BlockAsk): Promise<void> {
    if (this.#over !== undefined) throw this.#over.error
    ask.signal?.throwIfAborted()
    const request = new BlockRequest(ask, (aborted) => this.#aborted(aborted))
    if (this.#waiting.push(request) === 1 && this.#wire !== undefined) {
      this.#onIdle = this.#wire.connected
      this.#watch.start(this.#longestMs)
    }
    this.#send()
    return request.done
  }

  close(reason: Failure = new Failure('download.cancelled', `the connection to ${this.#parent} was closed`)): void {
    if (this.#over === undefined) this.#end(reason, reason)
  }

  #wireOwner(): WireOwner {
    const front = (): BlockRequest | undefined => this.#waiting[0]
    return {
      get front() {
        return front()
      },
      connected: () => {
        if (this.#waiting.length > 0) this.#watch.start(this.#longestMs)
        else this.#watch.stop()
      },
      heard: () => {
        this.#onIdle = false
        this.#watch.heard()
      },
      answered: () => this.#answered(),
      paused: (paused) => this.#watch.pause(paused),
      closed: (why, cause) => this.#closedByParent(why, cause),
      failed: (error) => this.#break(error),
    }
  }

  #dial(): BlockWire {
    this.#onIdle = false
    this.#watch.pause(false)
    this.#watch.start(this.#times.connectTimeoutMs)
    return new BlockWire(this, this.#owner)
  }

  /** Sends what the parent may be sent, over a new socket if there is none. */
  #send(): void {
    if (this.#over !== undefined || this.#waiting.length === 0) return
    this.#wire ??= this.#dial()
    for (const { packet } of this.#waiting.slice(this.#sent, MAX_REQUESTS)) {
      this.#wire.write(packet)
      this.#sent += 1
    }
  }

  #answered(): void {
    this.#waiting.shift()
    this.#sent -= 1
    if (this.#waiting.length === 0) this.#watch.stop()
    else this.#send()
  }

  /**
   * Its answer is thrown away when it comes. Not when the kernel is about to fill the memory of its sink, nor when
   * nothing else is to come: then the socket goes, and what still waits is asked over another.
   */
  #aborted(request: BlockRequest): void {
    const index = this.#waiting.indexOf(request)
    if (index >= this.#sent) this.#waiting.splice(index, 1)
    else if (this.#wire?.fills(request) === true || this.#waiting.every(({ over }) => over)) {
      this.#wire?.reset()
      this.#forgetWire()
      queueMicrotask(() => this.#send()) // the same signal may end others, too
    }
    if (this.#waiting.length === 0) this.#watch.stop()
  }

  #forgetWire(): void {
    this.#wire = undefined
    this.#sent = 0
    this.#waiting = this.#waiting.filter(({ over }) => !over)
    this.#watch.stop()
  }

  #closedByParent(why: string, cause: unknown): void {
    const connected = this.#wire?.connected === true
    this.#forgetWire()
    if (connected && (this.#waiting.length === 0 || this.#onIdle)) return this.#send()
    this.#break(this.#unreachable(why, cause))
  }

  /** A connection that comes up slowly is told of only when somebody waits for it. */
  #silent(): void {
    if (this.#waiting.length > 0) this.handlers.onSilent()
  }

  #late(): void {
    const ms = this.#longestMs
    const why = this.#wire?.connected === true ? `silent for ${ms} ms` : `no connection within ${ms} ms`
    this.#break(this.#unreachable(why))
  }

  #break(error: unknown): void {
    const unreachable = error instanceof Failure && error.code === 'peer.unreachable'
    this.#end(error, unreachable ? error : this.#unreachable(`given up: ${messageOf(error)}`, error))
    this.handlers.onBroken(error)
  }

  /** The request that is being answered hears the one error, those behind it the other. */
  #end(first: unknown, others: unknown): void {
    this.#over = { error: others }
    this.#watch.stop()
    this.#wire?.reset()
    this.#wire = undefined
    for (const [index, request] of this.#waiting.splice(0).entries()) request.reject(index === 0 ? first : others)
  }

  get #longestMs(): number {
    return this.#wire?.connected === true ? this.#times.timeoutMs : this.#times.connectTimeoutMs
  }

  get #parent(): string {
    return net.isIPv6(this.host) ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`
  }

  #unreachable(why: string, cause?: unknown): Failure {
    return new Failure('peer.unreachable', `blocks from ${this.#parent}: ${why}`, { cause })
  }
}

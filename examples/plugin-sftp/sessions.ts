import { unreachable } from 'dragonfly-ts/source'
import type { SFTPWrapper } from 'ssh2'
import type { Address } from './address.ts'
import { connect, type Connection } from './connect.ts'

/** How ssh2 answers. */
export type Done<T> = (error: Error | null | undefined, value: T) => void

const MOST_SERVERS = 64

/** A connection that several reads share. It ends when nobody has used it for a while. */
export class Session {
  readonly #connection: Connection
  readonly #idleMs: number
  readonly #onEnd: () => void
  #users = 0
  #closed = false
  #idle: NodeJS.Timeout | undefined

  /** `onEnd` is called as soon as it can be used no more. */
  constructor(connection: Connection, idleMs: number, onEnd: () => void) {
    this.#connection = connection
    this.#idleMs = idleMs
    this.#onEnd = onEnd
    const end = (): void => this.end()
    connection.ssh.on('error', end).on('close', end)
    connection.sftp.on('error', end).on('close', end)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** One operation. */
  call<T>(operation: (sftp: SFTPWrapper, done: Done<T>) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) return reject(new Error('it is closed'))
      operation(this.#connection.sftp, (error, value) => (error ? reject(error) : resolve(value)))
    })
  }

  /** Keeps it open until the answer is disposed of. */
  use(): Disposable {
    this.#users++
    clearTimeout(this.#idle)
    this.#connection.socket.ref()
    let used = true
    return {
      [Symbol.dispose]: () => {
        if (used && --this.#users === 0) this.#rest()
        used = false
      },
    }
  }

  #rest(): void {
    if (this.#closed) return
    // A process that has nothing else to do need not wait for this.
    this.#connection.socket.unref()
    this.#idle = setTimeout(() => this.end(), this.#idleMs).unref()
  }

  end(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#idle)
    this.#onEnd()
    this.#connection.ssh.end()
  }
}

/** A session for one who uses it. */
export interface Lease extends Disposable {
  readonly session: Session
}

/** One connection per server and user, made when it is first asked for. */
export class Sessions {
  readonly #byServer = new Map<string, Promise<Session>>()

  /** Whoever leaves while it is being connected, leaves it to the others. */
  async lease(address: Address, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    const session = await orAborted(this.#session(address), signal)
    if (session.closed) throw unreachable('the connection broke as it was made')
    const use = session.use()
    return { session, [Symbol.dispose]: () => use[Symbol.dispose]() }
  }

  #session(address: Address): Promise<Session> {
    const { server } = address
    const known = this.#byServer.get(server)
    if (known !== undefined) return known
    if (this.#byServer.size >= MOST_SERVERS) throw unreachable(`${MOST_SERVERS} servers are connected already`)
    const forget = (): void => {
      if (this.#byServer.get(server) === opening) this.#byServer.delete(server)
    }
    const opening = connect(address).then((connection) => {
      const session = new Session(connection, address.idleMs, forget)
      session.use()[Symbol.dispose]() // nobody may be waiting any more
      return session
    })
    opening.catch(forget)
    this.#byServer.set(server, opening)
    return opening
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

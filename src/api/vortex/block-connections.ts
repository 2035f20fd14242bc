import type { BlockConnection, BlockHandlers, BlockTimes } from './block-connection.ts'
import { DialledBlocks } from './dialled-blocks.ts'

const MAX_KEPT = 64
const KEEP_MS = 10_000

interface Kept {
  readonly connection: DialledBlocks
  readonly since: number
}

const NOBODY: BlockHandlers = { onSilent: () => undefined, onBroken: () => undefined }

export interface BlockConnectionsOptions extends BlockTimes {
  /** How long a connection that nobody has is kept; 10 s by default. */
  readonly keepMs?: number
}

/** Connections to parents that are kept for the next who asks there. */
export class BlockConnections implements AsyncDisposable {
  readonly #times: BlockTimes
  readonly #keepMs: number
  /** Longest kept first. */
  #kept: Kept[] = []
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor({ keepMs = KEEP_MS, ...times }: BlockConnectionsOptions) {
    this.#times = times
    this.#keepMs = keepMs
  }

  /** A kept connection, or a new one; it is the taker's alone until it is given back or closed. */
  take(host: string, port: number, handlers: BlockHandlers): BlockConnection {
    const at = this.#kept.findLastIndex(({ connection: c }) => c.host === host && c.port === port && c.idle)
    const [found] = at < 0 ? [] : this.#kept.splice(at, 1)
    if (found === undefined) return new DialledBlocks({ host, port, ...this.#times }, handlers)
    found.connection.handlers = handlers
    return found.connection
  }

  /** Keeps a connection on which nothing is asked, at most 64 of them; closes any other. */
  give(connection: BlockConnection): void {
    if (this.#over || !(connection instanceof DialledBlocks) || !connection.idle) return connection.close()
    connection.handlers = NOBODY
    this.#kept.push({ connection, since: performance.now() })
    if (this.#kept.length > MAX_KEPT) this.#kept.shift()?.connection.close()
    this.#timer ??= setTimeout(() => this.#sweep(), this.#keepMs).unref()
  }

  /** Closes what is kept; what is taken is closed when it is given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    clearTimeout(this.#timer)
    for (const { connection } of this.#kept.splice(0)) connection.close()
  }

  #sweep(): void {
    this.#timer = undefined
    const now = performance.now()
    while (this.#kept[0] !== undefined && now - this.#kept[0].since >= this.#keepMs - 1)
      this.#kept.shift()?.connection.close()
    const [oldest] = this.#kept
    if (oldest !== undefined) this.#timer = setTimeout(() => this.#sweep(), oldest.since + this.#keepMs - now).unref()
  }
}

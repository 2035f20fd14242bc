import { blockCount, Failure, fill, type PieceRecord } from '#core'
import type { StoredTask } from '#storage'
import { type Announced, type BlockChannel, fetchBlocks, fetchFromParent, type FromParentDeps } from './from-parent.ts'
import type { Parent } from './plan.ts'
import type { Ask } from './strategy/index.ts'

/** Answers in a row, each to what was told anew, by which a parent did not have what it had told of: it is left. */
const MOST_MISSES = 3

/** One parent in a round: what it told, and the connection over which it is asked. */
export class RoundMember {
  readonly id: string
  readonly parent: Parent
  /** Its pieces, as it told of them. */
  readonly #told = new Map<number, Announced>()
  /** Asks under way. */
  readonly #asks = new Set<Ask>()
  /** Asks whose answers nobody wants any more. */
  readonly #calledOff = new WeakSet<Ask>()
  #channel: BlockChannel | undefined
  #misses = 0
  #missedAtMs = 0
  readonly #stop = new AbortController()
  /** When it last brought something, or came; as `performance.now()`. */
  usefulAtMs = performance.now()
  /** It has told all it has. */
  toldAll = false
  /** No more is asked of it in this round. */
  left = false
  /** It knows no records: a peer of another make. */
  stock = false

  constructor(parent: Parent) {
    this.id = parent.id
    this.parent = parent
  }

  /** Aborts when it has left. */
  get gone(): AbortSignal {
    return this.#stop.signal
  }

  get busy(): boolean {
    return this.#asks.size > 0
  }

  /** It may bring a record some time. */
  get mayBringRecords(): boolean {
    return !this.left && !this.toldAll && !this.stock
  }

  /** What it says of pieces: of this one, and of more that it told of before. */
  tells(announced: Announced): Announced[] {
    if (announced.record === undefined && announced.speaksBlocks !== true) this.stock = true
    const { more = [], ...first } = announced
    this.#told.set(first.number, first)
    const others = more.flatMap(({ number, heldBlocks }) => {
      const known = this.#told.get(number)
      return known === undefined ? [] : [{ ...known, blocks: heldBlocks && new Uint8Array(heldBlocks) }]
    })
    return [first, ...others]
  }

  /** Resolves when everything asked for is on the disk. Rejects as the parent or the disk did; `calledOff` tells more. */
  async bring(
    ask: Ask,
    record: PieceRecord | undefined,
    task: StoredTask,
    deps: FromParentDeps & { onSilent(): void; readonly onNearly: () => void },
    signal: AbortSignal,
  ): Promise<void> {
    const told = this.#told.get(ask.piece)
    if (told === undefined) throw new Failure('piece.missing', `${this.parent.hostname} never told of it`)
    this.#asks.add(ask)
    try {
      if (record === undefined || told.speaksBlocks !== true || task.contentLength === undefined) {
        await fetchFromParent(task, this.parent, told, record, deps, signal)
      } else if (told.content !== undefined) {
        await takeContent(task, told.content, record, this.id)
      } else {
        this.#channel ??= deps.link.openBlocks(told, () => deps.onSilent())
        await fetchBlocks(task, ask, record, this.#channel, deps)
      }
      this.#misses = 0
      this.usefulAtMs = performance.now()
    } finally {
      this.#asks.delete(ask)
    }
  }

  wasCalledOff(ask: Ask): boolean {
    return this.#calledOff.has(ask)
  }

  /** Nobody waits for this answer any more, and nothing is to be sent in vain: the connection goes, the next is new. */
  callOff(): void {
    for (const ask of this.#asks) this.#calledOff.add(ask)
    this.#channel?.close()
    this.#channel = undefined
  }

  /** Does not have a piece after all. */
  lacks(number: number): void {
    this.#told.delete(number)
  }

  /**
   * It did not have what it was asked for. True when that happened too often in a row: what it tells is worth nothing.
   * Asks that were on their way together count once: it may have lost all of that at the same time.
   */
  missed({ askedAtMs }: Pick<Ask, 'askedAtMs'>): boolean {
    if (this.#misses === 0 || askedAtMs >= this.#missedAtMs) {
      this.#misses++
      this.#missedAtMs = performance.now()
    }
    return this.#misses >= MOST_MISSES
  }

  leave(): void {
    this.left = true
    this.#stop.abort()
    this.#told.clear()
    this.#channel?.close()
    this.#channel = undefined
  }
}

/** The piece came along with the news of it. */
async function takeContent(
  task: StoredTask,
  content: Uint8Array,
  record: PieceRecord,
  parentId: string,
): Promise<void> {
  if (content.length !== record.length)
    throw new Failure('piece.corrupt', `${content.length} bytes came along with the news of ${record.length}`)
  await using writer = task.writeBlocks({ record, first: 0, count: blockCount(record.length), parentId })
  await fill(writer, content)
  await writer.end()
}

import { blockCount } from '#core'
import type { HeldPiece, StoredTask } from '#storage'
import { Handout } from './strategy/index.ts'

/** What a child that asks for pieces is told of, of those that are not for everybody at once. */
export interface HandoutChild {
  /** Pieces that it may be told of now. */
  next(): number[]
  /** There are pieces here that it wants and was not told of yet. */
  readonly keepsBack: boolean
  leave(): void
}

/** Of each task: which pieces that this host read from the origin are told to which child first. */
export class Handouts {
  readonly #tasks = new Map<StoredTask, TaskHandout>()

  of(task: StoredTask): TaskHandout {
    const known = this.#tasks.get(task)
    if (known !== undefined) return known
    const made = new TaskHandout(task, () => this.#tasks.delete(task))
    this.#tasks.set(task, made)
    return made
  }

  /** So many blocks of a piece were sent to some child. */
  sent(task: StoredTask, number: number, count: number): void {
    this.#tasks.get(task)?.sent(number, count)
  }

  /** Some child asks for `count` blocks of a piece, from block `first` on. */
  asked(task: StoredTask, number: number, first: number, count: number): void {
    this.#tasks.get(task)?.asked(number, first, count)
  }
}

/** The handout of one task, as long as it has children. */
export class TaskHandout {
  readonly #task: StoredTask
  readonly #handout = new Handout({ now: () => performance.now() })
  readonly #over: () => void
  #forget: (() => void) | undefined
  #joined = 0
  readonly #children = new Map<string, { wants(number: number): boolean; readonly untold: Set<number> }>()

  constructor(task: StoredTask, over: () => void) {
    this.#task = task
    this.#over = over
  }

  get children(): number {
    return this.#children.size
  }

  /** Whether the piece is told to one child first: this host has it from the origin, and maybe nobody else. */
  keeps(number: number): boolean {
    return isKept(this.#task.piece(number))
  }

  /** `wake`: there may be something new to tell the child; called in the middle of things. */
  join(wants: (number: number) => boolean, wake: () => void): HandoutChild {
    this.#forget ??= this.#begin()
    const id = String(++this.#joined)
    const untold = new Set<number>()
    for (const piece of this.#task.pieces()) if (isKept(piece) && wants(piece.number)) untold.add(piece.number)
    this.#children.set(id, { wants, untold })
    this.#handout.join(id, { wants, wake })
    return {
      next: () => this.#handout.next(id).filter((number) => untold.delete(number)),
      get keepsBack() {
        return untold.size > 0
      },
      leave: () => {
        this.#children.delete(id)
        this.#handout.leave(id)
        if (this.#children.size > 0) return
        this.#forget?.()
        this.#forget = undefined
        this.#over()
      },
    }
  }

  sent(number: number, count: number): void {
    this.#handout.sent(number, count)
  }

  asked(number: number, first: number, count: number): void {
    this.#handout.asked(number, first, count)
  }

  /** Returns the way to stop. */
  #begin(): () => void {
    const add = (piece: HeldPiece): void => {
      if (isKept(piece)) {
        this.#handout.add(piece.number, blockCount(piece.length))
        for (const child of this.#children.values()) if (child.wants(piece.number)) child.untold.add(piece.number)
      }
      if (this.#task.complete) this.#handout.close()
    }
    for (const piece of this.#task.pieces()) add(piece)
    return this.#task.onPiece(add)
  }
}

function isKept(piece: HeldPiece | undefined): boolean {
  return piece?.traffic === 'source'
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { StoredTask } from '#storage'
import type { Announced, ParentLink } from './from-parent.ts'
import type { Wanted } from './from-source.ts'
import type { Parent } from './plan.ts'

export interface ToldDeps {
  readonly link: Pick<ParentLink, 'sync'>
  /** How many pieces are known to be there, by whatever is believed. */
  readonly known: () => number
  readonly wanted: () => Wanted
  readonly inOrder: () => boolean
}

/** Of a task of unknown length a parent may tell of so many pieces more than twice those that are known to be. */
const AHEAD = 1024
/** There are no higher numbers in an announcement. */
const MOST_PIECES = 2 ** 20
const LOOK_AGAIN_MS = 100

/**
 * All that a parent tells of what is not here of a task, and nothing that cannot be: others may join and want more than
 * is wanted now. Of a task of unknown length it is asked about one stretch after the other, so that nobody has to keep
 * what it makes up. Ends when it has told all it has.
 */
export async function* toldBy(
  parent: Parent,
  task: StoredTask,
  deps: ToldDeps,
  signal: AbortSignal,
): AsyncGenerator<Announced> {
  const { taskId, version } = task.meta
  let end = 0
  do {
    const from = end
    end = endOf(task, deps)
    const numbers = unheld(task, from, end)
    const ask = { taskId, version, numbers, inOrder: deps.inOrder() }
    let whole = 0
    for await (const announced of numbers.length === 0 ? [] : deps.link.sync(parent, ask, signal)) {
      whole += wholeIn(announced)
      if (announced.number < end) yield announced
    }
    if (whole < numbers.length) return
  } while (await goesOnBehind(end, task, deps, signal))
}

/** Pieces before this number may be told of. */
function endOf(task: StoredTask, { known, wanted }: ToldDeps): number {
  const { first, last = first } = wanted()
  return task.pieceCount ?? Math.min(last + 1 + AHEAD + 2 * known(), MOST_PIECES)
}

function unheld(task: StoredTask, from: number, end: number): number[] {
  const numbers: number[] = []
  for (let number = from; number < end; number++) if (task.piece(number) === undefined) numbers.push(number)
  return numbers
}

/** Pieces of which an announcement tells the last there is to tell. */
function wholeIn({ blocks, more = [] }: Announced): number {
  let whole = blocks === undefined ? 1 : 0
  for (const { heldBlocks } of more) if (heldBlocks === undefined) whole++
  return whole
}

/** Whether there are pieces behind `end`, as far as is known: waits as long as too little is. */
async function goesOnBehind(end: number, task: StoredTask, deps: ToldDeps, signal: AbortSignal): Promise<boolean> {
  while (endOf(task, deps) <= end) {
    if (task.pieceCount !== undefined || end === MOST_PIECES || signal.aborted) return false
    await sleep(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined)
  }
  return !signal.aborted
}

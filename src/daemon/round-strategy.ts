import { BLOCK_LENGTH } from '#core'
import type { StoredTask } from '#storage'
import { Strategy } from './strategy/index.ts'

/** A strategy that knows what is here of the task already. */
export function strategyFor(task: StoredTask, { inOrder }: { readonly inOrder: () => boolean }): Strategy {
  const { pieceLength } = task.meta
  const shape = { pieceLength, unitLength: Math.min(BLOCK_LENGTH, pieceLength), contentLength: task.contentLength }
  const strategy = new Strategy(shape, { now: () => performance.now(), random: () => Math.random(), inOrder })
  for (const { number } of task.pieces()) strategy.got(number, 'all')
  for (let number = 0; number < (task.pieceCount ?? 0); number++) {
    const blocks = task.piece(number) === undefined ? task.blocks(number) : undefined
    if (blocks !== undefined && !blocks.full) strategy.got(number, blocks)
  }
  return strategy
}

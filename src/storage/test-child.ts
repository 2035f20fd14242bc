import { join } from 'node:path'
import { messageOf } from '#core'
import { openTaskStore } from './disk.ts'
import { contentOf, giveAll, heldRightly, metaOf, PIECE, SOURCE, storedTask, taskIdOf, write } from './testing.ts'

/** What tests let another process do with a storage directory, because it will be killed or limited there. */

const [, , command, dir = '', length = '0'] = process.argv
const content = contentOf(Number(length))

async function open() {
  return openTaskStore({ dir, warn: (message) => console.error(message) })
}

/** Stores, hands out and removes tasks until it is killed. */
async function churn(): Promise<void> {
  const store = await open()
  console.log('ready')
  for (let round = 0; ; round++) {
    const known = round % 2 === 0
    const task = await store.open(
      metaOf({ taskId: taskIdOf(round % 3), contentLength: known ? content.length : undefined }),
    )
    await Promise.all([
      write(task, content, { chunkLength: 100_000 }),
      write(task, content, { first: 2, end: 4, from: { traffic: 'peer', parentId: 'p' } }),
    ])
    task.signers = [{ hostId: `seed-${round}`, publicKey: new Uint8Array(32) }]
    await task.export(join(dir, `output-${round % 3}`))
    if (round % 4 === 3) await store.delete(task.meta.taskId)
    if (round % 5 === 4) await storedTask(store, content, { taskId: taskIdOf(round % 3), version: `v${round}` })
  }
}

/** Stores one task, says what came of it, and then what is held. */
async function store(): Promise<void> {
  const store = await open()
  const task = await store.open(metaOf({ contentLength: content.length }))
  const error = await write(task, content).then(
    () => undefined,
    (error: unknown) => error,
  )
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  console.log(JSON.stringify({ code, message: error && messageOf(error), held: await heldRightly(task, content) }))
}

/** Holds the directory, with a piece half written, until it is killed. */
async function hold(): Promise<void> {
  const store = await open()
  const task = await store.open(metaOf({ contentLength: content.length }))
  const held = new Promise((resolve) => task.onPiece(resolve))
  const writer = task.write({ first: 0, from: SOURCE })
  await giveAll(writer, content.subarray(0, PIECE + 10))
  await held
  console.log('ready')
  setInterval(() => undefined, 1000)
}

const commands: Record<string, () => Promise<void>> = { churn, store, hold }
await commands[command ?? '']?.()

import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { asFailure, Failure, makeDirs, messageOf, taskId } from '#core'
import type { Logger } from '#runtime'
import type { Sources } from '#source'
import { openTaskStore, type TaskStore } from '#storage'
import { Counts } from './counts.ts'
import { download, type Onlooker } from './download.ts'
import { Fetches } from './fetches.ts'
import { follow } from './follow.ts'
import { sourceOnlyPlanner } from './plan.ts'
import { TokenBucket } from './rate-limit.ts'
import type { DownloadRequest, DownloadResult } from './request.ts'
import { passingHostKey } from './trust.ts'

export interface DirectDeps {
  readonly sources: Sources
  readonly log: Logger
}

/**
 * One download in this process: no daemon, no scheduler, no other host, and the same story otherwise. What is here of
 * a file waits beside the output until it is whole; a download that failed and may be tried again goes on from there. `write` takes the
 * bytes in order, for a request without an output.
 */
export async function downloadDirectly(
  request: DownloadRequest,
  deps: DirectDeps,
  signal: AbortSignal,
  onlooker: Onlooker & { readonly write?: (bytes: Uint8Array) => Promise<void> } = {},
): Promise<DownloadResult> {
  const dir = workPlace(request)
  try {
    makeDirs(dir, (path) => mkdirSync(path, 0o700))
  } catch (cause) {
    throw new Failure('output.invalid', `cannot write beside ${request.output ?? dir}: ${messageOf(cause)}`, { cause })
  }
  const store = await ownStore(dir, request, deps.log)
  let keep = false
  try {
    return await inStore(store, request, deps, signal, onlooker)
  } catch (error) {
    keep = request.output !== undefined && asFailure(error).retryable && store.heldBytes > 0
    throw error
  } finally {
    await store[Symbol.asyncDispose]()
    if (!keep) await rm(dir, { recursive: true, force: true })
  }
}

async function ownStore(dir: string, request: DownloadRequest, log: Logger): Promise<TaskStore> {
  try {
    return await openTaskStore({ dir, warn: (message: string) => log.warn(message) })
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'storage.in_use') throw error
    throw new Failure('output.invalid', `another dfget is writing ${request.output ?? 'this download'} right now`, {
      cause: error,
    })
  }
}

async function inStore(
  store: TaskStore,
  request: DownloadRequest,
  { sources, log }: DirectDeps,
  signal: AbortSignal,
  onlooker: Onlooker & { readonly write?: (bytes: Uint8Array) => Promise<void> },
): Promise<DownloadResult> {
  const fetches = new Fetches({
    planner: sourceOnlyPlanner,
    link: {
      sync: nobody,
      fetch: () => Promise.reject(noPeers()),
      openBlocks: () => ({ ask: () => Promise.reject(noPeers()), close: () => undefined }),
    },
    signer: { hostId: 'alone', key: passingHostKey() },
    bucket: new TokenBucket(0),
    concurrentPieces: 1,
    patienceMs: 0,
    requireRecords: false,
    counts: new Counts(),
    log,
  })
  let writing: Promise<void> = Promise.resolve()
  const { write } = onlooker
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const watching: Onlooker = {
    ...onlooker,
    started(task, range, held) {
      onlooker.started?.(task, range, held)
      if (write === undefined) return
      const writeAll = async (): Promise<void> => {
        for await (const { bytes } of follow(task, range, either)) await write(bytes)
      }
      writing = writeAll()
      writing.catch((error: unknown) => stop.abort(error)) // nobody takes the bytes any more: bring no more of them
    },
  }
  const isRunning = (task: Parameters<Fetches['isRunning']>[0]): boolean => fetches.isRunning(task)
  const result = await download(
    request,
    {
      sources,
      store,
      planner: sourceOnlyPlanner,
      fetches,
      isRunning,
      forget: () => Promise.resolve(),
      readsLocalFiles: true,
      seed: true,
      log,
    },
    either,
    watching,
  )
  await writing
  return result
}

function noPeers(): Failure {
  return new Failure('peer.unreachable', 'there are no peers here')
}

async function* nobody(): AsyncGenerator<never> {}

/** The same place for the same download, so that the next try finds what the last one left. */
function workPlace(request: DownloadRequest): string {
  const id = taskId(request).slice(0, 16)
  if (request.output === undefined) return join(tmpdir(), `dfget-${process.getuid?.() ?? 0}-${id}-${process.pid}`)
  return join(dirname(request.output), `.${basename(request.output).slice(0, 100)}.${id}.dfget`)
}

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { DigestAlgorithm } from '#core'
import { type RunningDigest, startDigest } from './digest-math.ts'

/** What the thread is told. `job` is a number that its host gives each digest. */
export type Told =
  | { readonly kind: 'start'; readonly job: number; readonly algorithm: DigestAlgorithm }
  | { readonly kind: 'bytes'; readonly job: number; readonly at: number; readonly length: number }
  | { readonly kind: 'hex'; readonly job: number }
  | { readonly kind: 'forget'; readonly job: number }

/** What the thread answers: that the bytes `at` a place were digested, or what came out. */
export type Answered =
  | { readonly kind: 'done'; readonly at: number }
  | { readonly kind: 'hex'; readonly job: number; readonly hex: string }

/** The thread that digests: its host puts bytes into memory that both see, and tells where they are. */
function serve(host: MessagePort, memory: Uint8Array): void {
  const jobs = new Map<number, RunningDigest>()
  const answer = (answered: Answered): void => host.postMessage(answered, [])
  host.on('message', (told: Told) => {
    const { job } = told
    if (told.kind === 'start') {
      jobs.set(job, startDigest(told.algorithm))
    } else if (told.kind === 'bytes') {
      jobs.get(job)?.update(memory.subarray(told.at, told.at + told.length))
      answer({ kind: 'done', at: told.at })
    } else {
      const digest = jobs.get(job)
      jobs.delete(job)
      if (told.kind === 'hex' && digest !== undefined) answer({ kind: 'hex', job, hex: digest.hex() })
    }
  })
}

if (parentPort !== null) serve(parentPort, new Uint8Array(workerData as SharedArrayBuffer))

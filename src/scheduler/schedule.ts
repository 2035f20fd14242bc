import type { Download } from '#api'
import type { Clock } from './clock.ts'
import { canStill, cut, isAcceptable } from './find-parents.ts'
import { nextStep, type StepLimits } from './next-step.ts'
import { type Judge, rankByVerdicts, rankParents, type Verdict } from './rank-parents.ts'
import { isReading, tell } from './swarm/editions.ts'
import type { Edition, Host, Peer } from './swarm/model.ts'
import { isRoot } from './swarm/rooted.ts'
import { isLive } from './swarm/states.ts'
import type { Swarm } from './swarm/swarm.ts'

export interface ScheduleDeps {
  readonly swarm: Swarm
  readonly seeds: {
    readonly mayWake: boolean
    wake(seed: Host, child: Peer, download: Download): void
  }
  readonly clock: Clock
  readonly limits: StepLimits
  readonly random: () => number
  /** Ranks in the place of the default score. */
  readonly judge?: Judge | undefined
}

/** Who came so much later has come later. */
const GROWN_MS = 2000

/** What a child is told. */
export type Answer =
  | { readonly kind: 'parents'; readonly parents: readonly Peer[] }
  | { readonly kind: 'source'; readonly why: string }

/**
 * Finds parents for a child, or sends it to the origin, and waits as long as there is hope. Fails with the reason
 * there is none. News of the task is acted upon at once; the interval is for what no news tells of.
 */
export async function schedule(
  child: Peer,
  download: Download,
  deps: ScheduleDeps,
  signal: AbortSignal,
): Promise<Answer> {
  const { swarm, seeds, clock, limits, random, judge } = deps
  const startedAtMs = clock.now()
  giveUpLost(child, swarm)
  mingle(child, deps)
  for (;;) {
    signal.throwIfAborted()
    const nowMs = clock.now()
    const { mayWake } = seeds
    const view = { nowMs, waitedMs: nowMs - startedAtMs, seeds: swarm.seeds, mayWake, limits, random }
    const step = nextStep(child, view)
    switch (step.kind) {
      case 'join':
        tell(step.edition, child.host, nowMs)
        swarm.join(child, step.edition)
        break
      case 'wake':
        seeds.wake(step.seed, child, download)
        break
      case 'wait':
        await news(child, clock, limits.retryInterval, signal)
        break
      case 'refuse':
        throw step.failure
      case 'parents': {
        const judged = step.sample.length > 1 ? judge?.(step.sample, child) : undefined
        const parents = judged === undefined ? step.parents : await chosen(step.sample, judged, child, limits)
        signal.throwIfAborted()
        if (parents.length === 0) break // none of them can any more: look again
        for (const parent of parents) swarm.link(parent, child)
        return { kind: 'parents', parents }
      }
      case 'source':
        sendToSource(child, step.believed, swarm, nowMs)
        return step
    }
  }
}

/** The parents as a judge ranks them. It took its time: who has gone, or filled up meanwhile, is left out. */
async function chosen(
  sample: readonly Peer[],
  judged: Promise<readonly Verdict[] | undefined>,
  child: Peer,
  limits: StepLimits,
): Promise<Peer[]> {
  const { edition } = child
  const verdicts = await judged
  if (edition === undefined || child.edition !== edition || !isLive(child.state) || isReading(child)) return []
  const ranked = verdicts === undefined ? rankParents(sample, child) : rankByVerdicts(sample, verdicts)
  const can = (parent: Peer): boolean => canStill(parent, child, edition)
  return cut(ranked.filter(can), sample.filter(can), { child, edition, limits })
}

/** Parents that it could not be given today are none any more: they lied to others, or to it. */
function giveUpLost(child: Peer, swarm: Swarm): void {
  const { edition } = child
  const lost = [...child.parents].filter((parent) => edition === undefined || !isAcceptable(parent, child, edition))
  for (const parent of lost) swarm.unlink(parent, child)
}

/**
 * Those who came together know each other, and what is new reaches who came later as well: of a full neighbourhood one
 * makes room for somebody else, as long as the swarm grows.
 */
function mingle(child: Peer, { swarm, limits, random }: ScheduleDeps): void {
  const { edition, parents } = child
  if (edition === undefined || parents.size < limits.neighbourLimit) return
  if (edition.joinedAtMs < child.createdAtMs + GROWN_MS) return
  const others = [...parents].filter((parent) => !isRoot(parent))
  const one = others[Math.floor(random() * others.length)]
  if (one !== undefined) swarm.unlink(one, child)
}

/** From here on the child reads the origin, and whoever waits may have its pieces. */
function sendToSource(child: Peer, believed: boolean, swarm: Swarm, nowMs: number): void {
  if (child.edition !== undefined) countWord(child, child.edition, believed, swarm)
  swarm.move(child, 'read-source', nowMs)
}

/** More signers of one edition are not named to children. */
const MAX_SIGNERS = 64

/** The word of a host that reads the origin counts from now on, or nobody is given its pieces. */
export function countWord(child: Peer, edition: Edition, believed: boolean, swarm: Swarm): void {
  const { publicKey } = child.host.facts
  const room = edition.signers.has(child.host.id) || edition.signers.size < MAX_SIGNERS
  if (believed && room && publicKey !== undefined) edition.signers.set(child.host.id, publicKey)
  // A stock host signs nothing: it is as good as its checksums, where nothing better is known.
  const unproven = !believed || !room || (publicKey === undefined && edition.signers.size > 0)
  swarm.setUnproven(child, unproven)
}

/** Resolves at the next ring of the task's bell, after `ms`, or when aborted. */
function news(child: Peer, clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = new AbortController()
    const finish = (): void => {
      stop()
      over.abort()
      resolve()
    }
    const stop = child.task.bell.onRing(finish)
    clock.sleep(ms, AbortSignal.any([signal, over.signal])).then(finish, finish)
  })
}

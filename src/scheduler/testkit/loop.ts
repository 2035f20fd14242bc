import { Download } from '#api'
import { Failure, messageOf } from '#core'
import { silentLog } from '#runtime'
import type { Judge } from '../rank-parents.ts'
import { type Answer, schedule } from '../schedule.ts'
import type { Host, Peer } from '../swarm/model.ts'
import { SeedRuns } from '../wake-seeds.ts'
import { FakeClock } from './fake-clock.ts'
import { checkSwarm } from './invariants.ts'
import { DESCRIBED, LIMITS, TestSwarm } from './swarm.ts'

const WISH = Download.fromPartial({ url: 'http://origin/file' })

/** The loop, with seeds that do as they are told and time that stands still. */
export class Loop {
  readonly net = new TestSwarm()
  readonly clock = new FakeClock()
  readonly woken: { host: string; end: (error?: Error) => void }[] = []
  readonly seeds: SeedRuns
  readonly limits: typeof LIMITS
  judge: Judge | undefined
  readonly #random: () => number

  constructor(limits: Partial<typeof LIMITS> = {}, random: () => number = () => 0) {
    this.#random = random
    this.limits = { ...LIMITS, ...limits }
    const download = (host: Host['facts'], _wish: Download, signal: AbortSignal): Promise<void> =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void => (error === undefined ? resolve() : reject(error))
        this.woken.push({ host: host.id, end })
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    const { clock } = this
    this.seeds = new SeedRuns({
      swarm: this.net.swarm,
      client: { download },
      clock,
      log: silentLog,
      limits: this.limits,
    })
  }

  /** Begins to look for parents; the answer is there once it is known. */
  start(
    child: Peer,
    signal = new AbortController().signal,
  ): { answer: Answer | undefined; failure: string | undefined } {
    const { net, clock, seeds, limits, judge } = this
    const outcome: { answer: Answer | undefined; failure: string | undefined } = {
      answer: undefined,
      failure: undefined,
    }
    schedule(child, WISH, { swarm: net.swarm, seeds, clock, limits, random: this.#random, judge }, signal).then(
      (answer) => {
        outcome.answer = answer
        checkSwarm(net.swarm)
      },
      (error: unknown) => {
        outcome.failure = error instanceof Failure ? error.code : messageOf(error)
      },
    )
    return outcome
  }

  /** A seed registers in the middle of its run, as it does on the wire. */
  register(host: Host, state: 'reading' | 'succeeded' = 'reading', described = DESCRIBED): Peer {
    const peer = this.net.peer(host, state, { described })
    this.seeds.registered(peer)
    peer.edition?.signers.set(host.id, new Uint8Array(32))
    if (peer.edition !== undefined) peer.edition.validatedAtMs = { bySeed: this.clock.now(), byAny: this.clock.now() }
    return peer
  }
}

export function named(outcome: { answer: Answer | undefined }): string[] | undefined {
  return outcome.answer?.kind === 'parents' ? outcome.answer.parents.map(({ id }) => id) : undefined
}

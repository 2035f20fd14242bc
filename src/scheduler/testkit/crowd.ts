import { peerFinished, pieceFailed, pieceFinished } from '../reports.ts'
import type { Peer } from '../swarm/model.ts'
import { settled } from './fake-clock.ts'
import { Loop } from './loop.ts'

export const PIECES = 10
const TICK_MS = 100
const ASK_EVERY_TICKS = 5

/** Somebody who downloads in a world without bytes. */
export interface Member {
  readonly peer: Peer
  readonly has: Set<number>
  readonly parents: Set<Member>
  /** Hosts of others that it cannot connect to. */
  readonly unreachable: Set<Member>
  outcome: ReturnType<Loop['start']> | undefined
  idleTicks: number
  askedAtTick: number
  readOrigin: number
  alive: boolean
  failure: string | undefined
}

/** Peers that fetch from whom the scheduler names to them, a piece in a tick, until everybody has everything. */
export class Crowd {
  readonly loop: Loop
  readonly members: Member[] = []
  #tick = 0
  /** After so long without a piece somebody gives up everybody named to it, as daemons do in the end. */
  patienceTicks = Number.POSITIVE_INFINITY
  /** The most of them that read the origin at the same time. */
  mostReaders = 0

  constructor(limits: ConstructorParameters<typeof Loop>[0] = {}, random?: () => number) {
    this.loop = new Loop(limits, random)
  }

  join(id: string): Member {
    const member = memberOf(this.loop.net.peer(id, 'waiting'))
    this.members.push(member)
    member.outcome = this.loop.start(member.peer)
    return member
  }

  /** Its stream breaks, and nobody can connect to it any more. */
  die(member: Member): void {
    member.alive = false
    this.loop.net.swarm.move(member.peer, 'fail', this.loop.clock.now())
  }

  /** The host loses its power: the scheduler hears nothing of it. */
  vanish(member: Member): void {
    member.alive = false
  }

  get over(): boolean {
    return this.members.every(({ alive, has }) => !alive || has.size === PIECES)
  }

  /** Pieces read at the origin by everybody together. */
  get readOrigin(): number {
    return this.members.reduce((sum, { readOrigin }) => sum + readOrigin, 0)
  }

  /** Goes on until everybody that lives has everything, or the time is over. */
  async run(mostTicks: number, each: (tick: number) => void = () => undefined): Promise<void> {
    for (let tick = 0; tick < mostTicks && !this.over; tick++) {
      this.#tick++
      each(tick)
      await settled()
      for (const member of this.members) if (member.alive && member.has.size < PIECES) this.#step(member)
      const readers = this.members.filter(({ alive, peer }) => alive && peer.state === 'back-to-source')
      this.mostReaders = Math.max(this.mostReaders, readers.length)
      await this.loop.clock.pass(TICK_MS)
    }
  }

  #step(member: Member): void {
    this.#hear(member)
    const got = member.peer.state === 'back-to-source' ? this.#read(member) : this.#fetch(member)
    member.idleTicks = got ? 0 : member.idleTicks + 1
    if (member.has.size === PIECES) {
      peerFinished(member.peer, this.loop.net.swarm, this.loop.clock.now())
    } else if (member.peer.state !== 'back-to-source' && member.outcome === undefined) {
      this.#askAgain(member)
    }
  }

  #hear(member: Member): void {
    const { swarm } = this.loop.net
    const { answer, failure } = member.outcome ?? {}
    member.failure = failure
    if (answer === undefined) return
    member.outcome = undefined
    member.askedAtTick = this.#tick
    if (answer.kind === 'source') return
    for (const parent of answer.parents) {
      const known = this.members.find(({ peer }) => peer === parent)
      if (known !== undefined) member.parents.add(known)
    }
    swarm.move(member.peer, 'start', this.loop.clock.now())
  }

  #read(member: Member): boolean {
    const number = Array.from({ length: PIECES }, (_, index) => index).find((index) => !member.has.has(index))
    if (number === undefined) return false
    member.readOrigin++
    this.#hold(member, number, undefined)
    return true
  }

  #fetch(member: Member): boolean {
    for (const parent of member.parents) {
      const number = [...parent.has].find((index) => !member.has.has(index))
      if (!parent.alive || member.unreachable.has(parent)) this.#lose(member, parent)
      else if (number !== undefined) {
        this.#hold(member, number, parent.peer.id)
        return true
      }
    }
    return false
  }

  #hold(member: Member, number: number, parentId: string | undefined): void {
    member.has.add(number)
    pieceFinished(member.peer, { number, costMs: 1, parentId }, this.loop.clock.now())
  }

  #lose(member: Member, parent: Member): void {
    member.parents.delete(parent)
    const report = { parentId: parent.peer.id, temporary: true, corrupt: false }
    pieceFailed(member.peer, report, this.loop.net.swarm, this.loop.clock.now())
  }

  /** For more parents; after a long time without a piece, for others. */
  #askAgain(member: Member): void {
    const { swarm } = this.loop.net
    const fruitless = member.idleTicks >= this.patienceTicks
    if (!fruitless && member.parents.size > 0 && this.#tick - member.askedAtTick < ASK_EVERY_TICKS) return
    if (fruitless) {
      for (const parent of member.parents) swarm.block(member.peer, parent.peer.id, this.loop.clock.now())
      member.parents.clear()
      member.idleTicks = 0
    }
    member.outcome = this.loop.start(member.peer)
  }
}

function memberOf(peer: Peer): Member {
  return {
    peer,
    has: new Set(),
    parents: new Set(),
    unreachable: new Set(),
    outcome: undefined,
    idleTicks: 0,
    askedAtTick: 0,
    readOrigin: 0,
    alive: true,
    failure: undefined,
  }
}

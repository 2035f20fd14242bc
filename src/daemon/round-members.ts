import type { Parent } from './plan.ts'
import { RoundMember } from './round-member.ts'
import type { Strategy } from './strategy/index.ts'

const MAX_MEMBERS = 24

/** Who is asked in a round, and who was. */
export class RoundMembers {
  readonly #members: RoundMember[] = []
  readonly #strategy: Pick<Strategy, 'canGive' | 'leave'>

  constructor(strategy: Pick<Strategy, 'canGive' | 'leave'>) {
    this.#strategy = strategy
  }

  /** Those that have not left. */
  get here(): RoundMember[] {
    return this.#members.filter(({ left }) => !left)
  }

  get(id: string): RoundMember | undefined {
    return this.#members.find((member) => member.id === id)
  }

  /** Undefined: it is or was here, or there is no room. `instead`: another one may leave for it. */
  add(parent: Parent, { instead }: { readonly instead: boolean }): RoundMember | undefined {
    if (this.get(parent.id) !== undefined) return undefined
    if (this.here.length >= MAX_MEMBERS && !(instead && this.#makeRoom())) return undefined
    const member = new RoundMember(parent)
    this.#members.push(member)
    return member
  }

  /**
   * The one leaves that was of no use for longest, and may come back. Those who began together know the same pieces in
   * the end; what is new goes to who came later.
   */
  #makeRoom(): boolean {
    const spare = this.here.filter(({ id, busy }) => !busy && !this.#strategy.canGive(id, 'alone'))
    const [least] = spare.toSorted((a, b) => a.usefulAtMs - b.usefulAtMs)
    if (least === undefined) return false
    this.#members.splice(this.#members.indexOf(least), 1)
    least.leave()
    this.#strategy.leave(least.id)
    return true
  }
}

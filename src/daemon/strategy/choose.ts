import type { Member } from './member.ts'
import type { Units } from './shape.ts'
import type { UnitStates } from './unit-states.ts'

export interface Choosing {
  readonly states: UnitStates
  readonly units: Units
  /** Pieces of which something is here or asked for, and something open. */
  readonly started: ReadonlySet<number>
  /** 0 ≤ random() < 1 */
  readonly random: () => number
}

/** So many of the units that would do are looked at; the rarest of them is near enough to the rarest of all. */
const SAMPLE = 16
/** So many pieces that were begun are looked at. */
const STARTED_SAMPLE = 16

/**
 * The open unit to ask a member for: the rarest among its members, of equals one whose piece was begun, of equals any:
 * hosts that start together ask for different ones. Undefined when it has nothing open.
 */
export function chooseRarest(member: Member, choosing: Choosing): number | undefined {
  const { states, random } = choosing
  const { useful } = member
  if (useful.length === 0) return undefined
  let best = chooseStarted(member, choosing)
  let bestHolders = best === undefined ? Number.POSITIVE_INFINITY : states.holders(best)
  for (let looked = 0; looked < SAMPLE && useful.length > 0; ) {
    const at = Math.floor(random() * useful.length)
    const unit = useful[at] as number
    if (!states.isOpen(unit) || !member.units.has(unit)) {
      removeAt(useful, at)
      continue
    }
    looked++
    if (states.holders(unit) >= bestHolders) continue
    best = unit
    bestHolders = states.holders(unit)
  }
  return best
}

/**
 * The rarest of the first open units of some pieces that were begun. Not what only this member has: other hosts lack it,
 * too, have begun the same pieces, and would all ask for the same.
 */
function chooseStarted(member: Member, { states, units, started }: Choosing): number | undefined {
  let best: number | undefined
  let bestHolders = Number.POSITIVE_INFINITY
  let looked = 0
  for (const piece of started) {
    if (looked++ >= STARTED_SAMPLE) break
    const first = piece * units.perPiece
    for (let unit = first; unit < first + units.perPiece; unit++) {
      if (!states.isOpen(unit) || !member.units.has(unit)) continue
      if (states.holders(unit) < bestHolders) {
        best = unit
        bestHolders = states.holders(unit)
      }
      break
    }
  }
  return bestHolders === 1 ? undefined : best
}

/** The first open unit that it has, for somebody who reads along. */
export function chooseFirst(member: Member, { states }: Choosing): number | undefined {
  const { to } = states.range
  for (let unit = states.firstMissing; unit < to; unit++) {
    if (states.isOpen(unit) && member.units.has(unit)) return unit
  }
  return undefined
}

/** A piece to ask for as a whole: the rarest with nothing of it here or asked for; else any with something open. */
export function choosePiece(member: Member, choosing: Choosing): number | undefined {
  const { states, units, random } = choosing
  const { useful } = member
  let best: number | undefined
  let bestHolders = Number.POSITIVE_INFINITY
  let broken: number | undefined
  for (let looked = 0; looked < SAMPLE && useful.length > 0; ) {
    const at = Math.floor(random() * useful.length)
    const unit = useful[at] as number
    if (!states.isOpen(unit) || !member.units.has(unit)) {
      removeAt(useful, at)
      continue
    }
    looked++
    const piece = units.pieceOf(unit)
    if (!isUntouched(piece, choosing)) broken = piece
    else if (states.holders(unit) < bestHolders) {
      best = piece
      bestHolders = states.holders(unit)
    }
  }
  return best ?? broken
}

function isUntouched(piece: number, { states, units }: Choosing): boolean {
  const first = piece * units.perPiece
  for (let unit = first; unit < first + units.inPiece(piece); unit++) {
    if (states.isHere(unit) || states.asks(unit) > 0) return false
  }
  return true
}

function removeAt(list: number[], at: number): void {
  const last = list.pop()
  if (last !== undefined && at < list.length) list[at] = last
}

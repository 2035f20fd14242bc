import { firstInBoth, lowest } from './bits.ts'
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

/**
 * So many of the units that would do are looked at: the rarest of them is rare enough. The rarest of all would be asked
 * for by everybody who knows the same members, at the same time.
 */
const SAMPLE = 16
/** Where what would do lies in so few words of units, all of it is looked at. */
const FEW_WORDS = 4
/** So many pieces that were begun are looked at. */
const STARTED_SAMPLE = 16

/**
 * The open unit to ask a member for: the rarest among its members, of equals one whose piece was begun, of equals any:
 * hosts that start together ask for different ones. Undefined when it has nothing open.
 */
export function chooseRarest(member: Member, choosing: Choosing): number | undefined {
  const { states } = choosing
  let best = chooseStarted(member, choosing)
  let bestHolders = best === undefined ? Number.POSITIVE_INFINITY : states.holders(best)
  if (member.useful.size <= FEW_WORDS) return rarestOfAll(member, choosing, best)
  for (let looked = 0; looked < SAMPLE && bestHolders > 1; looked++) {
    const unit = someUseful(member, choosing)
    if (unit === undefined) break
    if (states.holders(unit) >= bestHolders) continue
    best = unit
    bestHolders = states.holders(unit)
  }
  return best
}

/** Of equals, any, but for `favourite`. */
function rarestOfAll({ useful, units }: Member, { states, random }: Choosing, favourite?: number): number | undefined {
  let best = favourite
  let bestHolders = best === undefined ? Number.POSITIVE_INFINITY : states.holders(best)
  let equals = Number.POSITIVE_INFINITY
  for (let place = 0; place < useful.size; place++) {
    const at = useful.at(place)
    for (let both = states.openOnes.word(at) & units.word(at); both !== 0; both &= both - 1) {
      const unit = at * 32 + lowest(both)
      const holders = states.holders(unit)
      if (holders > bestHolders || (holders === bestHolders && random() * ++equals >= 1)) continue
      if (holders < bestHolders) equals = 1
      best = unit
      bestHolders = holders
    }
  }
  return best
}

/** Any open unit that the member has. Words of units in which there is none any more are forgotten. */
function someUseful({ useful, units }: Member, { states, random }: Choosing): number | undefined {
  while (useful.size > 0) {
    const place = Math.floor(random() * useful.size)
    const at = useful.at(place)
    const both = states.openOnes.word(at) & units.word(at)
    if (both === 0) {
      useful.removeAt(place)
      continue
    }
    // From any bit of it on, round: nobody's first choice is the lowest.
    const later = both & (-1 << Math.floor(random() * 32))
    return at * 32 + lowest(later === 0 ? both : later)
  }
  return undefined
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
    const unit = firstInBoth(states.openOnes, member.units, first, first + units.perPiece)
    if (unit === undefined || states.holders(unit) >= bestHolders) continue
    best = unit
    bestHolders = states.holders(unit)
  }
  return bestHolders === 1 ? undefined : best
}

/** The first open unit that it has, for somebody who reads along. */
export function chooseFirst(member: Member, { states }: Choosing): number | undefined {
  return firstInBoth(states.openOnes, member.units, states.firstMissing, states.range.to)
}

/** A piece to ask for as a whole: the rarest with nothing of it here or asked for; else any with something open. */
export function choosePiece(member: Member, choosing: Choosing): number | undefined {
  const { states, units } = choosing
  let best: number | undefined
  let bestHolders = Number.POSITIVE_INFINITY
  let broken: number | undefined
  for (let looked = 0; looked < SAMPLE; looked++) {
    const unit = someUseful(member, choosing)
    if (unit === undefined) break
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

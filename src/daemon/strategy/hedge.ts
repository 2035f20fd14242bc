import type { Ask, Member } from './member.ts'
import type { Run, Units } from './shape.ts'
import type { UnitStates } from './unit-states.ts'

/** A second one has to be this much faster, or asking twice is only traffic. */
const CLEARLY = 2
/** And what comes within this time is not worth a second request. */
const SOON_MS = 50
const FIRST_ANSWER_MS = 300
/** Members that are asked for one unit at the same time. */
const MOST_ASKS = 2

/**
 * At the end, when everything was asked for: the unit that would come last by what is known of the members' pace, and
 * that this member has and would bring clearly sooner. Whoever brings it first wins.
 */
export function chooseHedge(
  member: Member,
  members: Iterable<Member>,
  { states, units, nowMs }: { readonly states: UnitStates; readonly units: Units; readonly nowMs: number },
): { readonly ask: Ask; readonly run: Run } | undefined {
  if (member.rate === 0) return undefined
  const ownMs = member.expectedMs(units.bytesOf({ piece: 0, first: 0, count: 1 }))
  let worst: { ask: Ask; run: Run } | undefined
  let worstMs = Math.max(ownMs * CLEARLY, SOON_MS)
  for (const other of members) {
    if (other === member || !other.givesUnits) continue
    let ms = 0
    for (const [index, ask] of other.asks.entries()) {
      ms += timeOf(ask, other, nowMs)
      if (index === 0) ms = leftOf(ms, other.waitedMs(nowMs))
      if (ms <= worstMs) continue
      const run = lateUnit(ask, member, states, units)
      if (run === undefined) continue
      worst = { ask, run }
      worstMs = ms
    }
  }
  return worst
}

/** What is late may take as long again as it is late already: it is not about to come because answers came fast before. */
function leftOf(ms: number, waitedMs: number): number {
  return Math.abs(ms - waitedMs)
}

/** Who never gave anything is waited for a while before it counts as slow. */
function timeOf(ask: Ask, { rate, stalled }: Member, nowMs: number): number {
  if (stalled) return Number.POSITIVE_INFINITY
  if (rate > 0) return ask.bytes / rate
  return nowMs - ask.askedAtMs > FIRST_ANSWER_MS ? Number.POSITIVE_INFINITY : 0
}

/** The last unit of an ask that is still to come and that nobody else was asked for. */
function lateUnit(ask: Ask, member: Member, states: UnitStates, units: Units): Run | undefined {
  const { piece } = ask
  const first = piece * units.perPiece
  for (let index = ask.first + ask.count - 1; index >= ask.first; index--) {
    const unit = first + index
    if (states.isMissing(unit) && states.asks(unit) < MOST_ASKS && member.units.has(unit))
      return { piece, first: index, count: 1 }
  }
  return undefined
}

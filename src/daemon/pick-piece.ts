/** A parent as the picker sees it. */
export interface Holder {
  readonly id: string
  /** Pieces being fetched from it right now. */
  readonly inFlight: number
  /** Mean bytes per millisecond of the pieces it gave so far; 0 before the first. */
  readonly rate: number
  /** Pieces at once that are asked of it. */
  readonly slots: number
}

export interface Choice<H extends Holder> {
  readonly number: number
  readonly parent: H
}

export interface Picking<H extends Holder> {
  /** Wanted pieces that nobody fetches yet, ascending. */
  readonly open: Iterable<number>
  /** Who has a piece. */
  readonly holders: (number: number) => readonly H[]
  /** The lowest first, for somebody who reads along; otherwise the rarest first. */
  readonly inOrder: boolean
  /** 0 ≤ random() < 1; breaks ties, so that hosts that start together ask for different pieces. */
  readonly random: () => number
}

/** Which piece to fetch next, and from whom; undefined when nobody who is free has an open piece. Pure but for `random`. */
export function pickPiece<H extends Holder>(picking: Picking<H>): Choice<H> | undefined {
  let best: { number: number; free: readonly H[]; rarity: number; tie: number } | undefined
  for (const number of picking.open) {
    const holders = picking.holders(number)
    const free = holders.filter((holder) => holder.inFlight < holder.slots)
    if (free.length === 0) continue
    if (picking.inOrder) return { number, parent: bestParent(free, picking.random) }
    const tie = picking.random()
    if (best === undefined || holders.length < best.rarity || (holders.length === best.rarity && tie < best.tie)) {
      best = { number, free, rarity: holders.length, tie }
    }
  }
  return best && { number: best.number, parent: bestParent(best.free, picking.random) }
}

/** The parent with the shortest queue for its speed; unknown speed counts as fast, so that everybody is tried once. */
function bestParent<H extends Holder>(free: readonly H[], random: () => number): H {
  const cost = (holder: H): number => (holder.rate === 0 ? holder.inFlight / 1e6 : (holder.inFlight + 1) / holder.rate)
  const ranked = free.map((holder) => ({ holder, cost: cost(holder), tie: random() }))
  ranked.sort((a, b) => a.cost - b.cost || a.tie - b.tie)
  const [first] = ranked
  if (first === undefined) throw new RangeError('bestParent needs a parent')
  return first.holder
}

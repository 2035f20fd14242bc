import type { Edition, Host, Peer, Task } from './swarm/model.ts'

/** How good a parent is for a child: 0 to 1. A ranking is one such function of plain data. */
export type Score = (parent: Peer, child: Peer, task: Task) => number

/** What a judge says of one parent. */
export interface Verdict {
  /** Finite; the higher, the better. */
  readonly score: number
  /** Named only where there is no other. */
  readonly bad: boolean
}

/**
 * Who ranks in the place of the default score: a verdict for each parent, in their order. Undefined, at once or later,
 * leaves this child to the default. Never rejects.
 */
export type Judge = (parents: readonly Peer[], child: Peer) => Promise<readonly Verdict[] | undefined> | undefined

const MiB = 2 ** 20
/** A piece counts as using up this much of a host's upload rate. */
const PIECE_RATE_BYTES = 16 * MiB
/** A host that owes its children a minute of its whole rate, or more, is as busy as can be. */
const BUSY_SECONDS = 60
const MAX_LOCATION_PARTS = 5

/** So many children halve what is expected of a host that does not tell its rate. */
const CHILDREN_THAT_HALVE = 4
/** Who has no piece yet is as good for others as one with so many children more. */
const LIKE_CHILDREN = 2

/** The host has upload rate left, by the scheduler's own count (wire.md §6.4); without a rate, it has few children. */
export const load: Score = ({ host, pieces, rootAtMs }) => {
  if (host.facts.maxTxBps <= 0) {
    const empty = pieces.size === 0 && rootAtMs === undefined ? LIKE_CHILDREN : 0
    return 1 / (1 + (host.uploads.children + empty) / CHILDREN_THAT_HALVE)
  }
  return 0.5 * peak(host) + 0.3 * owed(host) + 0.2 * concurrency(host)
}

/** Both in the same data centre. */
export const idc: Score = (parent, child) => {
  const mine = child.host.facts.idc.toLowerCase()
  return mine !== '' && parent.host.facts.idc.toLowerCase() === mine ? 1 : 0
}

/** How many leading parts of the location are the same; lists of different lengths are compared as far as both go. */
export const location: Score = (parent, child) => {
  const theirs = parent.host.facts.location.toLowerCase()
  const mine = child.host.facts.location.toLowerCase()
  if (theirs === '' || mine === '') return 0
  if (theirs === mine) return 1
  const parts = theirs.split('|')
  const mineParts = mine.split('|')
  const differs = mineParts.findIndex((part, index) => part !== parts[index])
  return Math.min(differs < 0 ? mineParts.length : differs, MAX_LOCATION_PARTS) / MAX_LOCATION_PARTS
}

/** A seed is the best parent while it fetches, and left to the others once it has everything. */
export const hostType: Score = ({ host, state }) => {
  if (!host.facts.seed) return 0.5
  return state === 'received-normal' || state === 'running' ? 1 : 0
}

const WEIGHTS: readonly (readonly [number, Score])[] = [
  [0.6, load],
  [0.2, idc],
  [0.1, location],
  [0.1, hostType],
]

export const defaultScore: Score = (parent, child, task) =>
  WEIGHTS.reduce((sum, [weight, part]) => sum + weight * part(parent, child, task), 0)

/** Best parents first; equals stay in their order. Pure: the same peers give the same order. */
export function rankParents(candidates: readonly Peer[], child: Peer, score: Score = defaultScore): Peer[] {
  return candidates
    .map((parent) => ({ parent, score: score(parent, child, child.task) }))
    .toSorted((a, b) => b.score - a.score)
    .map(({ parent }) => parent)
}

/** The same by verdicts, one for each candidate. Bad ones only where all are. */
export function rankByVerdicts(candidates: readonly Peer[], verdicts: readonly Verdict[]): Peer[] {
  const judged = candidates.flatMap((parent, index) => {
    const verdict = verdicts[index]
    return verdict === undefined ? [] : [{ parent, ...verdict }]
  })
  const good = judged.filter(({ bad }) => !bad)
  return (good.length > 0 ? good : judged).toSorted((a, b) => b.score - a.score).map(({ parent }) => parent)
}

/** Whether the parent's last piece came far slower than its others. */
export function isSlow(parent: Peer): boolean {
  return parent.costs.slow
}

/** Whether what the parent gives can be checked by somebody who knows only the edition's signers. Nothing needs none. */
export function hasProof(parent: Peer, edition: Edition): boolean {
  return edition.contentLength === 0 || edition.signers.size > 0 || parent.host.facts.publicKey === undefined
}

function peak({ uploads, facts }: Host): number {
  return atLeastZero(1 - (uploads.bytes * 8) / facts.maxTxBps)
}

function owed({ uploads, facts }: Host): number {
  return atLeastZero(1 - (uploads.owedBytes * 8) / facts.maxTxBps / BUSY_SECONDS)
}

function concurrency({ uploads, facts }: Host): number {
  const pieces = facts.maxTxBps / 8 / PIECE_RATE_BYTES
  if (pieces <= 1) return 0
  return uploads.pieces <= pieces ? 1 : pieces / uploads.pieces
}

function atLeastZero(value: number): number {
  return Math.max(0, value)
}

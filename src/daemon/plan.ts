import type { Failure, Signer } from '#core'
import type { HeldPiece } from '#storage'

/** Somebody who may have pieces of a task. */
export interface Parent {
  /** Peer id: one host's part in one task. */
  readonly id: string
  readonly hostId: string
  readonly hostname: string
  /** IP literal and port of its upload service. */
  readonly ip: string
  readonly port: number
}

/** What the scheduler knows of a task; its content length and its signers are believed. */
export interface TaskFacts {
  readonly contentLength: number | undefined
  readonly pieceLength: number
  readonly version: string
  readonly etag: string
  readonly lastModified: string
  readonly headers: Readonly<Record<string, string>>
  readonly signers: readonly Signer[]
}

/** Whom to ask next. */
export type Plan =
  | { readonly kind: 'parents'; readonly parents: readonly Parent[]; readonly facts: TaskFacts | undefined }
  | { readonly kind: 'source'; readonly facts: TaskFacts | undefined; readonly why: string }
  | { readonly kind: 'nothing'; readonly facts: TaskFacts | undefined }

/** What a planner has to know of a download to plan it. */
export interface Registration {
  readonly taskId: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly tag: string
  readonly application: string
  readonly filteredQueryParams: readonly string[]
  /** Bytes, when the user asked for a piece length. */
  readonly requestedPieceLength: number | undefined
  /** What the origin said; undefined when this host could not ask it. */
  readonly found: Omit<TaskFacts, 'signers'> | undefined
  readonly range: { readonly start: number; readonly length: number } | undefined
  readonly disableBackSource: boolean
  readonly needBackSource: boolean
}

/** One peer's talk with who plans for it: plans come back, what became of them goes there. */
export interface PlanSession extends AsyncDisposable {
  /** Peer id of this download. */
  readonly peerId: string
  /**
   * The next plan. Asked again when the last one cannot bring the missing pieces: its parents are not named again.
   * A planner that cannot be reached plans the source.
   */
  next(signal: AbortSignal): Promise<Plan>
  /**
   * The plan as it would be made now, while the last one is still followed: the swarm has grown. Nobody is given up
   * for it. Missing where plans do not change.
   */
  refresh?(signal: AbortSignal): Promise<Plan>
  held(piece: HeldPiece): void
  failed(number: number, parentId: string, why: { corrupt: boolean }): void
  /** Everything wanted is here, or the download gave up. */
  finish(outcome: { contentLength: number } | Failure): Promise<void>
}

export interface Planner {
  begin(registration: Registration): PlanSession
  /** Whether plans may name other hosts; false where this process is alone. */
  readonly swarm: boolean
}

/** Plans for a process that is alone: the source, always. */
export const sourceOnlyPlanner: Planner = {
  swarm: false,
  begin: () => ({
    peerId: 'alone',
    next: () => Promise.resolve({ kind: 'source', facts: undefined, why: 'this process works alone' }),
    held: () => undefined,
    failed: () => undefined,
    finish: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }),
}

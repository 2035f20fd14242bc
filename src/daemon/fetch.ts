import { asFailure, type ByteSink, type Digest, Failure, type FailureCode, messageOf } from '#core'
import type { Logger } from '#runtime'
import { type ReadRequest, redactUrl, type Source } from '#source'
import type { StoredTask } from '#storage'
import type { Counts } from './counts.ts'
import type { ParentLink } from './from-parent.ts'
import { asSigner, fetchFromSource, type Wanted } from './from-source.ts'
import type { OriginDigests } from './origin-digest.ts'
import type { Parent, Plan, Planner, PlanSession, Registration } from './plan.ts'
import { type TokenBucket, withLimit } from './rate-limit.ts'
import { fetchFromParents, isHere } from './round.ts'
import { type HostKey, RecordChecker } from './trust.ts'

export interface FetchDeps {
  readonly planner: Planner
  readonly link: ParentLink
  readonly signer: { readonly hostId: string; readonly key: HostKey }
  /** The limit of the whole host. */
  readonly bucket: TokenBucket
  readonly concurrentPieces: number
  readonly patienceMs: number
  readonly requireRecords: boolean
  readonly originDigests: OriginDigests
  readonly counts: Counts
  readonly log: Logger
}

/** What the requests that share a fetch want of it together, right now. */
export interface Demand {
  wanted(): Wanted
  inOrder(): boolean
  mayReadSource(): boolean
  /** Limit of this fetch alone. */
  readonly bucket: TokenBucket
}

interface Origin {
  readonly source: Source | Failure
  readonly request: ReadRequest
}

/** All that the plans of one fetch are carried out with. */
interface Fetch {
  readonly task: StoredTask
  readonly demand: Demand
  readonly origin: Origin
  readonly session: PlanSession
  readonly records: RecordChecker
  readonly deps: FetchDeps
  readonly signal: AbortSignal
}

/** A plan is asked for this many times in a row without one new piece; then the source, or the end. */
const FRUITLESS_PLANS = 5

/**
 * Brings every wanted piece of a task here: plan, fetch, and plan again for what is still missing. Fails only when
 * neither a parent nor the source can give it.
 */
export async function fetchTask(
  task: StoredTask,
  demand: Demand,
  origin: Origin,
  registration: Registration,
  deps: FetchDeps,
  signal: AbortSignal,
): Promise<void> {
  await using session = deps.planner.begin(registration)
  const forget = task.onPiece((piece) => {
    const type = piece.traffic === 'source' ? 'back_to_source' : 'p2p'
    deps.counts.add('dragonfly_dfdaemon_piece_task_total', 1, { type })
    deps.counts.add('dragonfly_dfdaemon_traffic_bytes_total', piece.length, { type })
    session.held(piece)
    deps.originDigests.advance(task)
  })
  const records = new RecordChecker()
  records.trust([...task.signers, asSigner(deps.signer)])
  const fetch = { task, demand, origin, session, records, deps, signal }
  try {
    let fruitless = 0
    while (!isHere(task, demand.wanted())) {
      const before = task.heldBytes
      const plan = fruitless < FRUITLESS_PLANS ? await session.next(signal) : GIVE_UP
      await learn(task, plan, records)
      await follow(plan, fetch)
      fruitless = task.heldBytes > before ? 0 : fruitless + 1
    }
    await deps.originDigests.passed(task, signal) // before anybody is told that all went well
    await session.finish({ contentLength: task.contentLength ?? 0 })
  } catch (error) {
    await session.finish(asFailure(error)).catch(() => undefined)
    throw error
  } finally {
    forget()
  }
}

const GIVE_UP: Plan = { kind: 'source', facts: undefined, why: 'no parent could give a piece' }

async function learn(task: StoredTask, plan: Plan, records: RecordChecker): Promise<void> {
  if (plan.facts === undefined) return
  records.trust(plan.facts.signers)
  task.signers = [
    ...task.signers,
    ...plan.facts.signers.filter((signer) => !task.signers.some((known) => known.hostId === signer.hostId)),
  ]
  const said = plan.facts.contentLength
  if (said !== undefined && task.contentLength === undefined) await task.setContentLength(said)
}

async function follow(plan: Plan, fetch: Fetch): Promise<void> {
  if (plan.kind === 'nothing') await fetch.task.setContentLength(0)
  else if (plan.kind === 'parents') await askParents(plan.parents, fetch)
  else await readSource(plan.why, fetch)
}

function askParents(parents: readonly Parent[], fetch: Fetch): Promise<void> {
  const { task, demand, session, records, deps, signal } = fetch
  const failed = (number: number, parent: { id: string }, failure: Failure): void => {
    deps.counts.add('dragonfly_dfdaemon_piece_task_failed_total', 1, { code: failure.code })
    session.failed(number, parent.id, { corrupt: failure.code === 'piece.corrupt' })
  }
  const round = {
    ...deps,
    records,
    limit: limitOf(fetch),
    failed,
    wanted: () => demand.wanted(),
    inOrder: () => demand.inOrder(),
    refresh: session.refresh && ((stop: AbortSignal) => refreshed(task, session, records, stop)),
  }
  return fetchFromParents(task, parents, round, signal)
}

function readSource(why: string, fetch: Fetch): Promise<void> {
  const { task, demand, origin, deps, signal } = fetch
  const source = readableSource(origin.source, demand, why, task.meta.url)
  deps.log.info({ task: task.meta.taskId, why }, 'back to source')
  deps.counts.add('dragonfly_dfdaemon_back_to_source_total', 1, { scheme: source.scheme })
  const published = (digest: Digest | undefined): void => deps.originDigests.expect(task, digest)
  const sourceDeps = { source, signer: deps.signer, limit: limitOf(fetch), published }
  return fetchFromSource(task, demand.wanted(), origin.request, sourceDeps, signal)
}

function limitOf({ deps, demand, signal }: Fetch): (sink: ByteSink) => ByteSink {
  return (sink) => withLimit(sink, [deps.bucket, demand.bucket], signal)
}

/** Parents that joined the swarm meanwhile; undefined when the plan is another one by now. */
async function refreshed(
  task: StoredTask,
  session: PlanSession,
  records: RecordChecker,
  signal: AbortSignal,
): Promise<readonly Parent[] | undefined> {
  const plan = await session.refresh?.(signal)
  if (plan?.kind !== 'parents') return undefined
  await learn(task, plan, records)
  return plan.parents
}

function readableSource(source: Source | Failure, demand: Demand, why: string, url: string): Source {
  if (!demand.mayReadSource()) {
    throw new Failure(
      'download.no_source',
      `${redactUrl(url)}: no peer gives the missing pieces (${why}), and this download may not read the origin`,
    )
  }
  if (!(source instanceof Failure)) return source
  const code: FailureCode = source.code
  throw new Failure(code, `${source.message} (${why}; no peer has the file)`, { cause: messageOf(source) })
}

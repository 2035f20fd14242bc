import { randomUUID } from 'node:crypto'
import { type Digest, Failure, pieceLengthFor, taskId as taskIdOf, versionOf } from '#core'
import type { Logger } from '#runtime'
import { type EarlyRead, orAbort, type ReadRequest, redactUrl, type Resource, type Source, type Sources } from '#source'
import type { StoredTask, TaskMeta, TaskStore } from '#storage'
import type { EarlyReads } from './early-reads.ts'
import { expireInfoOf, firstBytes } from './read-origin.ts'
import { digestOfVersion, versionOfDigest } from './origin-digest.ts'
import type { Planner, Registration, TaskFacts } from './plan.ts'
import type { DownloadRequest } from './request.ts'

export interface DescribeDeps {
  readonly sources: Sources
  readonly store: TaskStore
  readonly planner: Planner
  readonly isRunning: (task: StoredTask) => boolean
  readonly fetches: { readonly earlyReads: EarlyReads }
  /** This host reads origins for the swarm: what it asks for is what it will read. */
  readonly seed?: boolean
  /** Whether this process may read what never leaves the asking host (`file:`): dfget itself may, a daemon may not. */
  readonly readsLocalFiles: boolean
  readonly log: Logger
}

export interface Described {
  readonly meta: TaskMeta
  /** Who reads the origin, or why nobody here can. */
  readonly source: Source | Failure
  readonly read: ReadRequest
  /** The read has begun with the question; to be let go of. */
  readonly early: EarlyRead | undefined
  readonly registration: Registration
  /** What the whole must match, as its origin publishes it. */
  readonly originDigest: Digest | undefined
}

/** Why an origin is silent; the swarm may know the file all the same. Everything else it says is an answer. */
const SILENT = new Set(['source.unknown_scheme', 'plugin.broken', 'source.unreachable', 'source.broken'])

/**
 * Which task, in which version, a request is about. The origin is asked where this host can; else the swarm, where a
 * seed asks for us; else what is held here has to do.
 */
export async function describe(request: DownloadRequest, deps: DescribeDeps, signal: AbortSignal): Promise<Described> {
  const taskId = taskIdOf(request)
  const read: ReadRequest = { url: request.url, headers: request.headers }
  const source = await findSource(request.url, deps, signal)
  const known = await reusable(taskId, request, deps)
  const early = known === undefined ? await readEarly(request, taskId, read, source, deps, signal) : undefined
  if (early !== undefined) return described(request, taskId, read, early.source, foundOf(early.resource), early)
  const asked = await askOrigin(source, read, known, signal)
  if (!(asked instanceof Failure)) return described(request, taskId, read, source, asked)
  if (!SILENT.has(asked.code)) throw asked
  const facts = await askSwarm(request, taskId, deps, signal)
  if (typeof facts === 'object') return described(request, taskId, read, source, facts)
  if (known === undefined)
    throw facts === undefined ? asked : new Failure(asked.code, `${asked.message} (${facts})`, { cause: asked })
  deps.log.warn({ task: taskId, why: asked.message }, 'the origin cannot be asked: what is held here is taken as fresh')
  return described(request, taskId, read, source, factsOf(known))
}

async function findSource(url: string, deps: DescribeDeps, signal: AbortSignal): Promise<Source | Failure> {
  try {
    // A plugin may take its time to load, and is loaded for whoever asks next as well.
    const source = await orAbort(deps.sources.for(url), signal)
    if (!deps.readsLocalFiles && source.local(url)) {
      throw new Failure(
        'source.denied',
        `${redactUrl(url)} is read on the asking host alone: no daemon reads it for others unless sources.file.roots names it`,
      )
    }
    return source
  } catch (error) {
    if (error instanceof Failure && SILENT.has(error.code)) return error
    throw error
  }
}

/**
 * The stored task that this request may go on with. Half a content without validators could be half of another one,
 * unless the whole will be held against a digest.
 */
async function reusable(taskId: string, request: DownloadRequest, deps: DescribeDeps): Promise<StoredTask | undefined> {
  const known = deps.store.get(taskId)
  if (known === undefined) return undefined
  if (request.pieceLength !== undefined && request.pieceLength !== known.meta.pieceLength) return undefined
  const { etag, lastModified } = known.validators
  const named = etag !== '' || lastModified !== '' || digestOfVersion(known.meta.version) !== undefined
  if (!named && !known.complete && !deps.isRunning(known)) {
    await deps.store.delete(taskId)
    return undefined
  }
  return known
}

type Found = Omit<TaskFacts, 'signers'>

async function askOrigin(
  source: Source | Failure,
  read: ReadRequest,
  known: StoredTask | undefined,
  signal: AbortSignal,
): Promise<Found | Failure> {
  if (source instanceof Failure) return source
  try {
    const expired = known !== undefined && (await source.isExpired(read, expireInfoOf(known), signal))
    if (known !== undefined && !expired && hasValidators(known)) return factsOf(known)
    const found = foundOf(await source.describe(read, signal))
    const lengthUnknown = known !== undefined && found.contentLength === undefined
    const pieceLength = lengthUnknown ? known.meta.pieceLength : found.pieceLength
    // A source that says "another content" without a name for it: no host may mix the two.
    const version = found.version || (expired ? versionOf({ etag: randomUUID() }) : '')
    return { ...found, pieceLength, version }
  } catch (error) {
    if (error instanceof Failure && !signal.aborted) return error
    throw error
  }
}

function foundOf({ contentLength, expireInfo, headers, digest }: Resource): Found {
  const version = digest === undefined ? versionOf(expireInfo) : versionOfDigest(digest)
  const { etag = '', lastModified = '' } = expireInfo
  return { contentLength, pieceLength: pieceLengthFor(contentLength), version, etag, lastModified, headers }
}

/** Where this host will read the whole anyway, the question and the read are one request. */
async function readEarly(
  { range, disableBackSource, pieceLength }: DownloadRequest,
  taskId: string,
  read: ReadRequest,
  source: Source | Failure,
  { seed = false, fetches }: DescribeDeps,
  signal: AbortSignal,
): Promise<EarlyRead | undefined> {
  if (!seed || disableBackSource || range !== undefined || source instanceof Failure) return undefined
  return fetches.earlyReads.begin(taskId, source, read, signal, firstBytes(pieceLength))
}

/** Whether "not expired" says anything. A version that is but a digest is compared by asking for the digest again. */
function hasValidators({ meta, validators }: StoredTask): boolean {
  if (validators.etag !== '' || validators.lastModified !== '') return true
  return meta.version !== '' && digestOfVersion(meta.version) === undefined
}

/** What the scheduler knows, or a seed finds out for it; else why nobody there helps. */
async function askSwarm(
  request: DownloadRequest,
  taskId: string,
  deps: DescribeDeps,
  signal: AbortSignal,
): Promise<TaskFacts | string | undefined> {
  if (!deps.planner.swarm) return undefined
  await using session = deps.planner.begin(registrationOf(request, taskId, undefined))
  const plan = await session.next(signal)
  return plan.kind === 'source' ? plan.why : plan.facts
}

function factsOf({ meta, contentLength }: StoredTask): Found {
  const { pieceLength, version, etag, lastModified, headers } = meta
  return { contentLength, pieceLength, version, etag, lastModified, headers }
}

function described(
  request: DownloadRequest,
  taskId: string,
  read: ReadRequest,
  source: Source | Failure,
  found: Found,
  early?: EarlyRead,
): Described {
  const { url, tag, application, filteredQueryParams } = request
  const pieceLength = request.pieceLength ?? found.pieceLength
  const facts = { ...found, pieceLength }
  const meta: TaskMeta = { taskId, url, tag, application, filteredQueryParams, ...facts }
  const originDigest = digestOfVersion(found.version)
  return { meta, source, read, early, originDigest, registration: registrationOf(request, taskId, facts) }
}

function registrationOf(request: DownloadRequest, taskId: string, found: Found | undefined): Registration {
  const { url, headers, tag, application, filteredQueryParams, range, disableBackSource, needBackSource } = request
  return {
    taskId,
    url,
    headers,
    tag,
    application,
    filteredQueryParams,
    requestedPieceLength: request.pieceLength,
    found,
    range:
      range !== undefined && 'start' in range && range.end !== undefined
        ? { start: range.start, length: range.end - range.start + 1 }
        : undefined,
    disableBackSource,
    needBackSource,
  }
}

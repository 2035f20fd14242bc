import type { ByteRange, ByteSink } from '#core'
import { Failure, formatRange, messageOf } from '#core'
import { abortableSink, abortFailure, linkedAbort, orAbort } from './abort.ts'
import { checkResponse } from './check-response.ts'
import { closeBody } from './close-body.ts'
import {
  type ExpireInfo,
  type Headers,
  type ResourceClient,
  type SourceRequest,
  X_DRAGONFLY_RANGE,
} from './contract.ts'
import { type Ability, describeClient, tolerantly } from './describe-client.ts'
import { pourBody } from './pour-body.ts'
import { redactUrl } from './redact-url.ts'
import { type FailureContext, sourceFailure } from './source-failure.ts'
import type { ReadOptions, ReadRequest, ReadResult, Resource, Source } from './source.ts'
import { cleanExpireInfo, sameVersion } from './validators.ts'

export interface ClientSourceOptions {
  readonly scheme: string
  /** Ours, and believed to keep the contract; false for a stranger's plugin. */
  readonly inTree: boolean
  /** A stranger's that runs in another process: the client is our own stand-in for it. */
  readonly apart?: boolean
  /** See Source. */
  readonly readsDescribe?: boolean
  /** As messages name it. */
  readonly name?: string
  /** Told once of what a plugin cannot do, and of every failed `isExpired`. */
  readonly warn: (message: string) => void
  /** See Source; nothing is local without it. */
  local?(url: string): boolean
}

/** What our own clients are told beyond the contract. */
export interface InTreeRequest extends SourceRequest {
  /** Which version is wanted, so that they need not send another. */
  readonly ifMatch?: ExpireInfo
  /** See ReadOptions. */
  readonly atFirst?: number
}

/**
 * A client as the host uses it: what it says is checked, what it cannot do is done without, what it throws is told by
 * `source.*`. One try a call: retries and time limits are wrapped around.
 */
export function sourceFromClient(client: ResourceClient, options: ClientSourceOptions): Source {
  const { scheme, inTree, apart = false, name = inTree ? scheme : `plugin ${scheme}`, warn } = options
  const ask = tolerantly(client, { name, inTree }, new Set<Ability>(), warn)

  const describe = (request: ReadRequest, signal: AbortSignal): Promise<Resource> => {
    const context: FailureContext = { name, inTree, apart, url: request.url }
    const requestFor = (range?: ByteRange): SourceRequest => sourceRequest(request, { range }, signal)
    return translated(describeClient(client, requestFor, ask, context), context, signal)
  }
  return {
    scheme,
    ...(options.readsDescribe === true ? { readsDescribe: true } : {}),
    local: (url) => options.local?.(url) ?? false,
    describe,

    async isExpired(request, info, signal) {
      const context: FailureContext = { name, inTree, apart, url: request.url }
      try {
        const asked = ask('isExpired', (client) => client.isExpired?.(sourceRequest(request, {}, signal), info))
        const expired = await translated(asked, context, signal)
        if (expired !== undefined) return expired === true
        return sameVersion(info, (await describe(request, signal)).expireInfo) === false
      } catch (error) {
        const cancelled = signal.aborted && abortFailure(signal).code === 'download.cancelled'
        if (!cancelled) warn(`${redactUrl(request.url)} counts as fresh: ${messageOf(error)}`)
        return false
      }
    },

    async read(request, sink, options) {
      const context: FailureContext = { name, inTree, apart, url: request.url }
      using abort = linkedAbort(options.signal)
      try {
        return await readOnce(client, request, abortableSink(sink, abort.signal), options, context, abort.signal)
      } catch (error) {
        abort.abort(error) // tells the client, whatever it is at, that nobody listens any more
        if (options.signal.aborted) throw abortFailure(options.signal)
        throw error
      }
    },
  }
}

async function readOnce(
  client: ResourceClient,
  request: ReadRequest,
  sink: ByteSink,
  options: ReadOptions,
  context: FailureContext,
  signal: AbortSignal,
): Promise<ReadResult> {
  const { range, ifMatch = {} } = options
  const atFirst = context.inTree && range === undefined ? options.atFirst : undefined
  const asked = sourceRequest(request, { range, atFirst, ...(context.inTree ? { ifMatch } : {}) }, signal)
  const downloading = Promise.resolve(quick(() => client.download(asked)))
  const response = await translated(downloading, context, signal).catch((error: unknown) => {
    downloading.then((late) => closeBody(late?.body)).catch(() => undefined)
    throw error
  })
  try {
    const checked = await translated(
      quick(() => checkResponse(response, { range, atFirst }, context)),
      context,
      signal,
    )
    const { answer } = checked
    if (sameVersion(ifMatch, answer.expireInfo) === false) {
      throw new Failure('source.changed', `${redactUrl(request.url)} changed at the origin while it was read`)
    }
    options.onAnswer?.(answer)
    const guarded = guardedSink(sink)
    const bytesDue = checked.bytes ?? options.wholeBytes // a range has its own
    const pouring = pourBody({ ...checked, bytes: bytesDue }, guarded.sink, context, signal)
    const bytes = await pouring.catch((error: unknown) => {
      throw guarded.failure ?? translate(error, context, signal)
    })
    return { bytes, expireInfo: { ...ifMatch, ...answer.expireInfo } }
  } catch (error) {
    closeBody(response?.body)
    throw error
  }
}

/** Remembers what a sink threw, so that it is told from what the source threw. */
function guardedSink(sink: ByteSink): { readonly sink: ByteSink; readonly failure: unknown } {
  let failure: unknown
  const guard = (error: unknown): never => {
    failure = error
    throw error
  }
  return {
    get failure() {
      return failure
    },
    sink: {
      space: () => sink.space(),
      filled(length) {
        try {
          return sink.filled(length)
        } catch (error) {
          return guard(error)
        }
      },
      drained: () => sink.drained().catch(guard),
      get full() {
        return sink.full
      },
    },
  }
}

/** The promise, ended by the signal, its failure translated. */
function translated<T>(promise: Promise<T>, context: FailureContext, signal: AbortSignal): Promise<T> {
  return orAbort(promise, signal).catch((error: unknown) => {
    throw translate(error, context, signal)
  })
}

function translate(error: unknown, context: FailureContext, signal: AbortSignal): Failure {
  if (signal.aborted) return abortFailure(signal)
  // Failures made here are complete; a plugin's own `Failure` is another class and goes by its code.
  return error instanceof Failure ? error : sourceFailure(error, context)
}

/** What a call throws at once, as a rejection. */
async function quick<T>(call: () => T | Promise<T>): Promise<T> {
  return call()
}

function sourceRequest(
  { url, headers }: ReadRequest,
  {
    range,
    atFirst,
    ifMatch,
  }: Pick<InTreeRequest, 'ifMatch'> & {
    range?: ByteRange | undefined
    atFirst?: number | undefined
  },
  signal: AbortSignal,
): InTreeRequest {
  return {
    url,
    headers: requestHeaders(headers, range),
    signal,
    ...(range === undefined ? {} : { range: { start: range.start, end: range.end } }),
    ...(atFirst === undefined ? {} : { atFirst }),
    ...(ifMatch === undefined ? {} : { ifMatch: cleanExpireInfo(ifMatch) }),
  }
}

/** Lower-case names; the range can also be looked up under its constant, without being listed twice. */
function requestHeaders(headers: Headers, range: ByteRange | undefined): Headers {
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  delete lower[X_DRAGONFLY_RANGE.toLowerCase()]
  if (range === undefined) return lower
  lower[X_DRAGONFLY_RANGE.toLowerCase()] = formatRange(range)
  return Object.defineProperty(lower, X_DRAGONFLY_RANGE, { value: formatRange(range), enumerable: false })
}

import type { ExpireInfo, ResourceClient, ResourceInfo, SourceRequest } from './contract.ts'
import { cleanHeaders, handedOn } from './header-fields.ts'
import { formatHttpDate } from './http-date.ts'
import { checkedDigest, shown } from './check-response.ts'
import { brokenAnswer, type FailureContext, isUnimplemented } from './source-failure.ts'
import type { Resource } from './source.ts'
import { cleanExpireInfo } from './validators.ts'

/** Methods that a client may lack. */
export type Ability = 'stat' | 'getContentLength' | 'isSupportRange' | 'isExpired' | 'getLastModified'

/** Asks a client for something it may not be able to; undefined when it is not. */
export type Ask = <T>(ability: Ability, call: (client: ResourceClient) => T | Promise<T>) => Promise<T | undefined>

/** Makes the request again with other headers or a range. */
export type RequestFor = (range?: { start: number; end: number }) => SourceRequest

/** Describes a resource by `stat` where the client has it, else piece by piece. */
export async function describeClient(
  client: ResourceClient,
  requestFor: RequestFor,
  ask: Ask,
  context: FailureContext,
): Promise<Resource> {
  if (typeof client.stat === 'function') {
    const info = await ask('stat', (client) => client.stat?.(requestFor()))
    if (info !== undefined) return fromStat(info, context)
  }
  const said = await ask('getContentLength', (client) => client.getContentLength?.(requestFor()))
  const contentLength = said === undefined ? undefined : checkedLength(said, context)
  const supportsRange = await ask('isSupportRange', (client) =>
    client.isSupportRange?.(requestFor({ start: 0, end: 0 })),
  )
  const modifiedMs = await ask('getLastModified', (client) => client.getLastModified?.(requestFor()))
  return { contentLength, supportsRange: supportsRange === true, expireInfo: fromDate(modifiedMs), headers: {} }
}

function fromStat(info: ResourceInfo, context: FailureContext): Resource {
  if (typeof info !== 'object' || info === null) throw brokenAnswer('stat gave no answer', context)
  const { supportsRange } = info
  return {
    contentLength: checkedLength(info.contentLength, context),
    supportsRange: typeof supportsRange === 'boolean' ? supportsRange : undefined,
    expireInfo: cleanExpireInfo(info.expireInfo),
    headers: handedOn(cleanHeaders(info.headers)),
    ...checkedDigest(info.digest, context),
  }
}

/** Both −1 and −2 mean that nobody knows. */
function checkedLength(length: unknown, context: FailureContext): number | undefined {
  if (length === undefined || length === -1 || length === -2) return undefined
  if (typeof length === 'number' && Number.isSafeInteger(length) && length >= 0) return length
  throw brokenAnswer(`its length is ${shown(length)}, expected a number of bytes or -2`, context)
}

/** A date of 1970 or none at all is what clients answer that do not know. */
function fromDate(ms: unknown): ExpireInfo {
  if (typeof ms !== 'number' || !Number.isFinite(ms) || ms <= 0 || ms > 8.64e15) return {}
  return { lastModified: formatHttpDate(ms) }
}

/** What the host has to do without, for the one warning. */
const WITHOUT: Record<Ability, string> = {
  stat: 'it is asked for length, ranges and date one by one',
  getContentLength: 'lengths are known only at the end of a download',
  isSupportRange: 'downloads that break cannot be resumed',
  isExpired: 'what is stored is compared by date and ETag, or counts as fresh where there are none',
  getLastModified: 'a resource that changed is told by its ETag only',
}

/** Warns once per ability that a client lacks. */
export function tolerantly(
  client: ResourceClient,
  context: Omit<FailureContext, 'url'>,
  warned: Set<Ability>,
  warn: (message: string) => void,
): Ask {
  return async (ability, call) => {
    if (typeof client[ability] === 'function') {
      try {
        return await call(client)
      } catch (error) {
        // Our own clients have every ability they name; what they cannot do is about the URL.
        if (context.inTree || !isUnimplemented(error)) throw error
      }
    }
    if (!warned.has(ability)) warn(`${context.name} has no ${ability}: ${WITHOUT[ability]}`)
    warned.add(ability)
    return undefined
  }
}

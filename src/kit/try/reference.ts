import { createHash } from 'node:crypto'
import { parseDigest, formatBytes } from '#core'
import type { ExpireInfo, Resource } from '#source'
import { collectingSink } from './sinks.ts'
import type { Bench, TryOrder } from './try-plugin.ts'
import { notTried } from './verdict.ts'

/** The resource as it was read first: what later reads are compared with. */
export interface Reference {
  readonly content: Uint8Array
  readonly resource: Resource
  readonly expireInfo: ExpireInfo
}

export async function readReference({ source, order }: Bench, signal: AbortSignal): Promise<Reference> {
  const request = { url: order.url, headers: order.headers }
  const resource = await source.describe(request, signal)
  const sink = collectingSink()
  const { contentLength } = resource
  const { expireInfo } = await source.read(request, sink, {
    signal,
    ...(contentLength === undefined ? {} : { wholeBytes: contentLength }),
  })
  const content = sink.bytes()
  if (contentLength !== undefined && contentLength !== content.length)
    throw new Error(`its length is said to be ${contentLength}, but ${content.length} bytes came`)
  return { content, resource, expireInfo: { ...resource.expireInfo, ...expireInfo } }
}

/** The bytes against what is known of them; what was seen, for the table. */
export function compareReference({ content, resource, expireInfo }: Reference, order: TryOrder): string {
  if (order.content !== undefined) {
    const at = firstDifference(content, order.content)
    if (at !== undefined)
      throw new Error(
        `it has ${content.length} bytes, --content has ${order.content.length}; they differ at byte ${at}`,
      )
  }
  if (order.digest !== undefined) {
    const { algorithm, hex } = parseDigest(order.digest)
    const seen = createHash(algorithm).update(content).digest('hex')
    if (seen !== hex) throw new Error(`its ${algorithm} is ${seen}, expected ${hex}`)
  }
  const known = order.content !== undefined || order.digest !== undefined
  const validators = [expireInfo.etag && `ETag ${expireInfo.etag}`, expireInfo.lastModified].filter(Boolean)
  return [
    formatBytes(content.length),
    resource.contentLength === undefined ? 'length not told' : 'length told',
    resource.supportsRange === true ? 'ranges' : 'no ranges',
    validators.length === 0 ? 'neither ETag nor date' : validators.join(', '),
    ...(known ? [] : ['compared with itself only: --content or --digest say what it must be']),
  ].join('; ')
}

/** Fails where there is nothing to compare with. */
export function known(reference: Reference | undefined): Reference {
  if (reference === undefined) throw notTried('the resource could not be read')
  return reference
}

export function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (Buffer.compare(a, b) === 0) return undefined
  const shorter = Math.min(a.length, b.length)
  for (let at = 0; at < shorter; at++) if (a[at] !== b[at]) return at
  return shorter
}

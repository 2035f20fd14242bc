import type { ExpireInfo } from './contract.ts'

/**
 * Whether two answers describe the same state of a resource. Undefined: they have no validator in common, nobody can
 * tell. An ETag counts more than a date, as RFC 9110 has it.
 */
export function sameVersion(one: ExpireInfo, other: ExpireInfo): boolean | undefined {
  if (one.etag && other.etag) return weakTag(one.etag) === weakTag(other.etag)
  if (one.lastModified && other.lastModified) return one.lastModified === other.lastModified
  return undefined
}

/** Validators that promise the same bytes, not only the same meaning: good enough to join two answers. */
export function areStrong(info: ExpireInfo): boolean {
  if (info.etag) return !info.etag.startsWith('W/')
  return Boolean(info.lastModified)
}

/** Only what a well-behaved origin could have said: texts, not empty, bounded. */
export function cleanExpireInfo(info: ExpireInfo | undefined): ExpireInfo {
  const etag = cleanText(info?.etag)
  const lastModified = cleanText(info?.lastModified)
  return { ...(etag === undefined ? {} : { etag }), ...(lastModified === undefined ? {} : { lastModified }) }
}

const LONGEST_VALIDATOR = 1024

function cleanText(text: unknown): string | undefined {
  if (typeof text !== 'string') return undefined
  const trimmed = text.trim()
  return trimmed === '' || trimmed.length > LONGEST_VALIDATOR ? undefined : trimmed
}

function weakTag(etag: string): string {
  return etag.startsWith('W/') ? etag.slice(2) : etag
}

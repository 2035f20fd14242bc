import { createHash, randomUUID } from 'node:crypto'
import { Failure } from './failure.ts'

/** What makes a task this task and no other (wire.md §3). Headers, digest and range do not take part. */
export interface TaskIdentity {
  readonly url: string
  readonly tag?: string | undefined
  readonly application?: string | undefined
  readonly revision?: string | undefined
  /** Only a piece length that was asked for, never a computed one. */
  readonly pieceLength?: number | undefined
  readonly filteredQueryParams?: readonly string[] | undefined
  readonly content?: string | undefined
}

/** Id of a standard task: SHA-256 in lower-case hex over the parts, concatenated without separators. */
export function taskId(identity: TaskIdentity): string {
  if (identity.content) return sha256(identity.content)
  return sha256(
    normalizeUrl(identity.url, identity.filteredQueryParams ?? []),
    identity.tag ?? '',
    identity.application ?? '',
    identity.revision ?? '',
    identity.pieceLength === undefined ? '' : String(identity.pieceLength),
    'STANDARD',
  )
}

export function hostId(ip: string, hostname: string, seed: boolean): string {
  return `${ip}-${hostname}${seed ? '-seed' : ''}`
}

export function newPeerId(ip: string, hostname: string, seed: boolean): string {
  return `${ip}-${hostname}-${randomUUID()}${seed ? '-seed' : ''}`
}

/** True for what can be a task id everywhere: 64 lower-case hex digits. Safe as a file name. */
export function isTaskId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}

/** The URL as it enters a task id: filtered parameters dropped, the others re-encoded in their order. */
export function normalizeUrl(text: string, filtered: readonly string[]): string {
  const url = parseUrl(text)
  const kept = [...url.searchParams].filter(([key]) => !filtered.includes(key))
  url.search = new URLSearchParams(kept).toString()
  const plain = url.toString()
  return url.pathname === '/' && plain.endsWith('/') ? plain.replace(/\/+$/, '') : plain
}

/** Reads an absolute URL of any scheme, or fails with `usage.invalid` and a way out. */
export function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) {
    throw new Failure('usage.invalid', `"${text}" is not a URL: write it as scheme://host/path`)
  }
  return url
}

/** A short name for one state of the resource at its origin; empty when the origin tells nothing about it. */
export function versionOf(facts: { etag?: string | undefined; lastModified?: string | undefined }): string {
  if (!facts.etag && !facts.lastModified) return ''
  return sha256(facts.etag ?? '', '\n', facts.etag ? '' : (facts.lastModified ?? '')).slice(0, 32)
}

function sha256(...parts: string[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

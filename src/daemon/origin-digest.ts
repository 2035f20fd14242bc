import { type Digest, Failure, formatDigest, parseDigest } from '#core'
import { redactUrl } from '#source'
import type { StoredTask } from '#storage'
import { type Hasher, startDigest } from './check-digest.ts'
import { whenAborted } from './when-aborted.ts'

const CHUNK_BYTES = 2 ** 20

/**
 * The version of a task whose origin publishes a digest is that digest. So it is in all that hosts tell one another of
 * the task, signed with each piece, and kept with what is on the disk: nobody joins pieces without knowing it.
 */
export function versionOfDigest({ algorithm, hex }: Digest): string {
  return `${algorithm}-${Buffer.from(hex, 'hex').toString('base64url')}`
}

/** The digest that a version names; undefined for one that comes of validators. */
export function digestOfVersion(version: string): Digest | undefined {
  const [, algorithm, base64 = ''] = /^(md5|sha1|sha256|sha512)-([\w-]+)$/.exec(version) ?? []
  if (algorithm === undefined) return undefined
  try {
    return parseDigest(`${algorithm}:${Buffer.from(base64, 'base64url').toString('hex')}`)
  } catch {
    return undefined
  }
}

/**
 * Checks contents against the digests that their origins publish: each task once, however many ask for it, while its
 * bytes come and never by a second read of the origin. Every host of a swarm checks for itself: pieces are passed on
 * before anybody has seen the whole.
 */
export class OriginDigests {
  readonly #checks = new WeakMap<StoredTask, DigestCheck>()

  /** Remembers what the task has to match. Fails with `source.changed` when it was to match something else before. */
  expect(task: StoredTask, digest: Digest | undefined): void {
    if (digest === undefined) return
    const known = this.#checks.get(task)
    if (known === undefined) this.#checks.set(task, new DigestCheck(task, digest))
    else known.agree(digest)
  }

  /** A piece came: digests what can be digested. */
  advance(task: StoredTask): void {
    void this.#checks.get(task)?.advance()
  }

  /**
   * Resolves once the whole task matched; at once where nothing is published, or not all of it is here. Fails with
   * `digest.mismatch`.
   */
  async passed(task: StoredTask, signal: AbortSignal): Promise<void> {
    if (task.complete) await this.#checks.get(task)?.settle(signal)
  }

  /** The task is not what its origin publishes: nobody may go on with what is here of it. */
  refused(task: StoredTask): boolean {
    return this.#checks.get(task)?.refused ?? false
  }
}

/** Digests a task in order, as far as it is held without a gap. */
class DigestCheck {
  refused = false
  readonly #task: StoredTask
  readonly #expected: Digest
  readonly #hasher: Hasher
  #offset = 0
  #outcome: { readonly failure: Failure | undefined } | undefined
  #running: Promise<void> | undefined

  constructor(task: StoredTask, expected: Digest) {
    this.#task = task
    this.#expected = expected
    this.#hasher = startDigest(expected)
  }

  /** An origin may publish several kinds; the first that was told is checked. */
  agree(digest: Digest): void {
    if (digest.algorithm !== this.#expected.algorithm || digest.hex === this.#expected.hex) return
    this.refused = true
    throw new Failure('source.changed', `${this.#url()} is published with another digest than a moment ago`)
  }

  advance(): Promise<void> {
    this.#running ??= this.#digest().finally(() => {
      this.#running = undefined
    })
    this.#running.catch(() => undefined) // told to who waits in settle
    return this.#running
  }

  async settle(signal: AbortSignal): Promise<void> {
    const left = whenAborted(signal)
    try {
      while (this.#outcome === undefined) await Promise.race([this.advance(), left.promise])
    } finally {
      left.forget()
    }
    if (this.#outcome.failure !== undefined) throw this.#outcome.failure
  }

  async #digest(): Promise<void> {
    const task = this.#task
    using _hold = task.hold()
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
    for (;;) {
      if (this.#outcome !== undefined) return
      if (this.#offset === task.contentLength) return this.#compare()
      const piece = task.piece(Math.floor(this.#offset / task.meta.pieceLength))
      if (piece === undefined) return
      const left = piece.offset + piece.length - this.#offset
      const bytes = await task.read(this.#offset, buffer.subarray(0, Math.min(left, CHUNK_BYTES)))
      this.#hasher.update(buffer.subarray(0, bytes))
      this.#offset += bytes
    }
  }

  #compare(): void {
    const found: Digest = { ...this.#expected, hex: this.#hasher.hex() }
    this.refused = found.hex !== this.#expected.hex
    this.#outcome = { failure: this.refused ? this.#mismatch(found) : undefined }
  }

  #mismatch(found: Digest): Failure {
    const digests = `real[${formatDigest(found)}] published[${formatDigest(this.#expected)}]`
    return new Failure('digest.mismatch', `${this.#url()} is not what its own origin publishes: ${digests}`)
  }

  #url(): string {
    return redactUrl(this.#task.meta.url)
  }
}

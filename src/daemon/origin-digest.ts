import { type Digest, Failure, formatDigest, parseDigest } from '#core'
import { redactUrl } from '#source'
import type { StoredTask } from '#storage'
import { digestRun } from './check-digest.ts'
import type { Hasher, Hashers } from './hashers.ts'
import { whenAborted } from './when-aborted.ts'

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
  readonly #hashers: Hashers

  constructor(hashers: Hashers) {
    this.#hashers = hashers
  }

  /** Remembers what the task has to match. Fails with `source.changed` when it was to match something else before. */
  expect(task: StoredTask, digest: Digest | undefined): void {
    if (digest === undefined) return
    const known = this.#checks.get(task)
    if (known === undefined) this.#checks.set(task, new DigestCheck(task, digest, this.#hashers))
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

  /** No more pieces come for now: nothing is kept for what is not whole. */
  rest(task: StoredTask): void {
    this.#checks.get(task)?.rest()
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
  readonly #hashers: Hashers
  /** While something is being digested. */
  #hasher: Hasher | undefined
  /** Bytes digested so far. */
  #offset = 0
  /** Bytes that were digested when the last fetch ended early, for nothing. */
  #wasted = 0
  #resting = false
  #outcome: { readonly failure: Failure | undefined } | undefined
  #running: Promise<void> | undefined

  constructor(task: StoredTask, expected: Digest, hashers: Hashers) {
    this.#task = task
    this.#expected = expected
    this.#hashers = hashers
  }

  /** An origin may publish several kinds; the first that was told is checked. */
  agree(digest: Digest): void {
    if (digest.algorithm !== this.#expected.algorithm || digest.hex === this.#expected.hex) return
    this.refused = true
    throw new Failure('source.changed', `${this.#url()} is published with another digest than a moment ago`)
  }

  advance(): Promise<void> {
    this.#resting = false
    this.#running ??= this.#digest().finally(() => {
      this.#running = undefined
    })
    this.#running.catch(() => undefined) // told to who waits in settle
    return this.#running
  }

  rest(): void {
    this.#resting = true
    if (this.#running === undefined) this.#startAnew()
  }

  async settle(signal: AbortSignal): Promise<void> {
    const left = whenAborted(signal)
    try {
      while (this.#outcome === undefined) {
        await Promise.race([this.advance(), left.promise])
        if (this.#outcome === undefined && !this.#task.complete) throw this.#missing()
      }
    } finally {
      left.forget()
    }
    if (this.#outcome.failure !== undefined) throw this.#outcome.failure
  }

  async #digest(): Promise<void> {
    if (this.#outcome !== undefined || !this.#isWorthIt()) return
    using _hold = this.#task.hold()
    try {
      await this.#digestHeld()
      if (this.#offset === this.#task.contentLength) await this.#compare()
      else if (this.#resting) this.#startAnew()
    } catch (error) {
      this.#startAnew()
      throw error
    }
  }

  async #digestHeld(): Promise<void> {
    const task = this.#task
    for (;;) {
      const piece = task.piece(Math.floor(this.#offset / task.meta.pieceLength))
      if (piece === undefined || this.#offset === task.contentLength) return
      this.#hasher ??= this.#hashers.start(this.#expected.algorithm, task.contentLength)
      await digestRun(task, piece.offset, piece.length, this.#hasher)
      this.#offset = piece.offset + piece.length
    }
  }

  /** Who asks for range after range makes nobody digest the same first bytes again and again. */
  #isWorthIt(): boolean {
    return this.#hasher !== undefined || this.#task.complete || this.#task.heldBytes >= 2 * this.#wasted
  }

  /** Lets go of what was digested: it takes memory, and maybe nobody ever asks for the rest. */
  #startAnew(): void {
    this.#hasher?.[Symbol.dispose]()
    this.#hasher = undefined
    this.#wasted = Math.max(this.#wasted, this.#offset)
    this.#offset = 0
  }

  async #compare(): Promise<void> {
    using hasher = this.#hasher ?? this.#hashers.start(this.#expected.algorithm, 0)
    this.#hasher = undefined
    const found: Digest = { ...this.#expected, hex: await hasher.hex() }
    this.refused = found.hex !== this.#expected.hex
    this.#outcome = { failure: this.refused ? this.#mismatch(found) : undefined }
  }

  #missing(): Failure {
    return new Failure('piece.missing', `a part of ${this.#url()} was lost on this host while it was digested`)
  }

  #mismatch(found: Digest): Failure {
    const digests = `real[${formatDigest(found)}] published[${formatDigest(this.#expected)}]`
    return new Failure('digest.mismatch', `${this.#url()} is not what its own origin publishes: ${digests}`)
  }

  #url(): string {
    return redactUrl(this.#task.meta.url)
  }
}

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { blockCount, Failure, messageOf, type PieceRecord, recordBytes, type Signer } from '#core'

/** This host's key: what it reads at an origin, it signs. */
export interface HostKey {
  /** Raw Ed25519 public key, 32 bytes, announced with the host. */
  readonly publicKey: Uint8Array
  sign(record: Omit<PieceRecord, 'signature'>): Uint8Array
}

/** DER of an Ed25519 SubjectPublicKeyInfo up to the raw key (RFC 8410 §4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** The key in `path`, made at first start, readable by its owner alone. */
export async function hostKey(path: string): Promise<HostKey> {
  const pem = (await readPem(path)) ?? (await makePem(path))
  return hostKeyFrom(pem, path)
}

/** A key that lives as long as the process, for those that sign for nobody but themselves. */
export function passingHostKey(): HostKey {
  return hostKeyFrom(newPem(), 'memory')
}

function hostKeyFrom(pem: string, path: string): HostKey {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (cause) {
    throw new Failure('config.invalid', `${path} is no private key: ${messageOf(cause)}; remove it to get a new one`)
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Failure('config.invalid', `${path} is no Ed25519 key; remove it to get a new one`)
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return {
    publicKey: new Uint8Array(der.subarray(SPKI_PREFIX.length)),
    sign: (record) => sign(null, recordBytes(record), key),
  }
}

async function readPem(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Failure('storage.failed', `cannot read the host key ${path}: ${messageOf(cause)}`, { cause })
  }
}

async function makePem(path: string): Promise<string> {
  const pem = newPem()
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(pem)
    await file.sync()
    return pem
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return await readFile(path, 'utf8')
    throw new Failure('storage.failed', `cannot write the host key ${path}: ${messageOf(cause)}`, { cause })
  }
}

function newPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
}

/** A signer's key as it was announced. Node takes 0.8 ms to read one: only when there is something to check with it. */
class SignerKey {
  readonly #raw: Uint8Array
  #key: KeyObject | undefined

  constructor(raw: Uint8Array) {
    this.#raw = raw
  }

  get key(): KeyObject {
    const der = (): Buffer => Buffer.concat([SPKI_PREFIX, this.#raw])
    this.#key ??= createPublicKey({ key: der(), format: 'der', type: 'spki' })
    return this.#key
  }

  is(raw: Uint8Array): boolean {
    return Buffer.compare(this.#raw, raw) === 0
  }
}

/** Believes records of named signers, and nobody else. */
export class RecordChecker {
  readonly #keys = new Map<string, SignerKey[]>()
  /** With how many keys of their signers records were refused: liars shall not have them checked again and again. */
  readonly #refused = new WeakMap<PieceRecord, number>()

  /** Hosts whose signature counts from now on; who once counted keeps counting for this version of the task. */
  trust(signers: readonly Signer[]): void {
    for (const { hostId, publicKey } of signers) {
      if (publicKey.length !== 32) continue
      const keys = this.#keys.get(hostId) ?? []
      if (!keys.some((known) => known.is(publicKey)))
        this.#keys.set(hostId, [...keys, new SignerKey(Uint8Array.from(publicKey))])
    }
  }

  /** Whether any signature counts: without one, peers that know of no records are all there is. */
  get hasSigners(): boolean {
    return this.#keys.size > 0
  }

  /** True for a record that is whole and signed by one who counts. */
  believes(record: PieceRecord): boolean {
    if (record.blocks.length !== blockCount(record.length) * 32 || record.signature.length !== 64) return false
    const keys = this.#keys.get(record.signer) ?? []
    const tried = this.#refused.get(record) ?? 0
    if (tried === keys.length) return false
    const bytes = recordBytes(record)
    const believed = keys.slice(tried).some(({ key }) => verify(null, bytes, key, record.signature))
    if (!believed) this.#refused.set(record, keys.length)
    return believed
  }
}

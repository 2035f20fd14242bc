import { Failure } from './failure.ts'

/** Lengths of the hex forms, per algorithm. */
const HEX_LENGTH = { md5: 32, sha1: 40, sha256: 64, sha512: 128, crc32: 8 } as const

export type DigestAlgorithm = keyof typeof HEX_LENGTH

/** A digest of a whole file, as a person or a registry gives it. `hex` is lower case. */
export interface Digest {
  readonly algorithm: DigestAlgorithm
  readonly hex: string
}

export const DIGEST_ALGORITHMS = Object.keys(HEX_LENGTH) as DigestAlgorithm[]

/** Reads `algorithm:hex`; a CRC-32 may also be written as ten decimal digits, as Dragonfly does. */
export function parseDigest(text: string): Digest {
  const colon = text.indexOf(':')
  const algorithm = text.slice(0, Math.max(colon, 0)).toLowerCase()
  const value = text.slice(colon + 1).toLowerCase()
  if (!isAlgorithm(algorithm))
    throw invalid(text, `write it as algorithm:hex with one of ${DIGEST_ALGORITHMS.join(', ')}`)
  if (algorithm === 'crc32' && /^\d{10}$/.test(value) && Number(value) < 2 ** 32) {
    return { algorithm, hex: Number(value).toString(16).padStart(8, '0') }
  }
  const length = HEX_LENGTH[algorithm]
  if (value.length !== length || !/^[0-9a-f]+$/.test(value))
    throw invalid(text, `${algorithm} has ${length} hex digits`)
  return { algorithm, hex: value }
}

export function formatDigest(digest: Digest): string {
  return `${digest.algorithm}:${digest.hex}`
}

/** CRC-32 as the wire writes it: `crc32:` and unsigned decimal digits, not padded (wire.md §4.3). */
export function formatPieceDigest(crc32: number): string {
  return `crc32:${crc32 >>> 0}`
}

/** The reverse of `formatPieceDigest`; undefined for anything else (an empty digest, another algorithm). */
export function parsePieceDigest(text: string): number | undefined {
  const match = /^crc32:(\d{1,10})$/.exec(text)
  const value = match === null ? Number.NaN : Number(match[1])
  return value < 2 ** 32 ? value : undefined
}

function isAlgorithm(name: string): name is DigestAlgorithm {
  return Object.hasOwn(HEX_LENGTH, name)
}

function invalid(text: string, why: string): Failure {
  return new Failure('usage.invalid', `digest "${text}" is not valid: ${why}`)
}

/** What a registry says of a tarball. */
export interface Dist {
  readonly tarball: URL
  /** `algorithm:hex`, the strongest that is published and known here. */
  readonly digest: string | undefined
}

/** Strongest first. SHA-384 is published by nobody, and known to no Dragonfly. */
const ALGORITHMS = ['sha512', 'sha256', 'sha1', 'md5'] as const

/** Subresource Integrity (`sha512-<base64> …`) or a bare SHA-1 in hex, as a digest of Dragonfly's. */
export function digestOf(integrity: unknown, shasum: unknown): string | undefined {
  const parts = typeof integrity === 'string' ? integrity.trim().split(/\s+/) : []
  for (const algorithm of ALGORITHMS) {
    const ofThis = parts.filter((part) => part.startsWith(`${algorithm}-`))
    const [only] = ofThis
    // Several of one kind mean that any of them may be right: that is no digest.
    if (only === undefined || ofThis.length > 1) continue
    const [base64 = ''] = only.slice(algorithm.length + 1).split('?')
    return `${algorithm}:${Buffer.from(base64, 'base64').toString('hex')}`
  }
  return typeof shasum === 'string' && /^[0-9a-f]{40}$/i.test(shasum) ? `sha1:${shasum.toLowerCase()}` : undefined
}

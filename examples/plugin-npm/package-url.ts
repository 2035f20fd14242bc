import { SourceError } from 'dragonfly-ts/source'

/** What an `npm:` URL names. */
export interface PackageUrl {
  /** Host and port of the registry. */
  readonly url: URL
  /** With its scope. */
  readonly name: string
  /** A version or a tag; undefined where none is said. */
  readonly version: string | undefined
}

/** A name has no dots alone, and nothing that would lead elsewhere on the server. */
const PATH = /^\/((?:@[\w.~-]+\/)?(?!\.)[\w.~-]+)(?:@([\w.~+-]+))?\/?$/

/** Reads `npm://host[:port]/[@scope/]name[@version]`. */
export function parsePackageUrl(text: string): PackageUrl {
  const url = new URL(text)
  const [, name, version] = PATH.exec(url.pathname) ?? []
  if (url.hostname === '') throw useless('the URL names no registry')
  if (url.username !== '') throw useless('a user in the URL means nothing; give a token by plugins.npm.registries')
  if (name === undefined)
    throw useless('write it as npm://registry/package@version or npm://registry/@scope/package@version')
  return { url, name, version }
}

/** Another version of the same package. */
export function withVersion({ url, name }: PackageUrl, version: string): string {
  return `npm://${url.host}/${name}@${version}`
}

/** Nothing that another try could mend. */
function useless(reason: string): SourceError {
  return new SourceError('source.broken', reason, { lasting: true })
}

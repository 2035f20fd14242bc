import { SourceError } from 'dragonfly-ts/source'
import { loginFor, type Options } from './options.ts'

/** Where a URL leads, and how to get in there. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string | undefined
  readonly privateKey: string | undefined
  readonly passphrase: string | undefined
  /** Fingerprints, without padding. */
  readonly hostKeys: readonly string[]
  readonly acceptAnyHostKey: boolean
  readonly connectMs: number
  readonly idleMs: number
  /** What one connection can be shared by. */
  readonly server: string
  /** On that server: absolute, or relative to the user's home. */
  readonly path: string
}

const DEFAULT_PORT = 22

/** Reads `sftp://[user@]host[:port]/path`; `/~/` begins at the user's home, as curl has it. */
export function addressOf(text: string, options: Options): Address {
  const url = new URL(text)
  const host = decoded(url.hostname)
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
  if (host === '') throw useless('the URL names no host')
  if (url.password !== '') {
    throw denied('a password in a URL is known to the whole swarm; give it as plugins.sftp.password')
  }
  const login = loginFor(options, host, url.port === '' ? undefined : Number(url.port))
  const port = url.port === '' ? (login.port ?? DEFAULT_PORT) : Number(url.port)
  const user = url.username === '' ? login.user : decoded(url.username)
  if (user === undefined) {
    throw denied(`nobody is named to log in: write sftp://user@${url.host}/, or set plugins.sftp.user`)
  }
  const { hostKey = [], password, privateKey, passphrase, acceptAnyHostKey = false } = login
  return {
    host,
    port,
    user,
    password,
    privateKey,
    passphrase,
    hostKeys: (typeof hostKey === 'string' ? [hostKey] : hostKey).map((key) => key.replace(/=$/, '')),
    acceptAnyHostKey,
    connectMs: (options.connectSeconds ?? 15) * 1000,
    idleMs: (options.idleSeconds ?? 30) * 1000,
    server: JSON.stringify([user, host, port]),
    path: pathOf(url),
  }
}

/** The same URL with a slash at its end, to put names behind. */
export function directoryUrl(text: string): URL {
  const url = new URL(text)
  url.search = ''
  url.hash = ''
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

function pathOf(url: URL): string {
  const path = decoded(url.pathname)
  if (path.includes('\0')) throw useless('no path has a zero byte in it')
  if (path === '/~' || path === '/~/') return '.'
  return path.startsWith('/~/') ? path.slice(3) : path || '/'
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw useless('a percent sign in the URL begins no character; write %25 for the sign itself')
  }
}

/** Nothing that another try could mend. */
function useless(reason: string): SourceError {
  return new SourceError('source.broken', reason, { lasting: true })
}

function denied(reason: string): SourceError {
  return new SourceError('source.denied', reason)
}

import { broken, changed, denied, notFound, notSupported, SourceError, unreachable } from 'dragonfly-ts/source'

/** Numbers of the SFTP protocol. */
export const STATUS = { eof: 1, missing: 2, denied: 3, failure: 4, lost: 7, unsupported: 8 } as const

/** What ssh2 says about an operation on a file, as the error of a source. */
export function sftpError(error: unknown, url: string): Error {
  if (error instanceof SourceError) return error
  const { code, message } = Object(error) as { code?: unknown; message?: unknown }
  switch (code) {
    case STATUS.eof:
      return changed(url)
    case STATUS.missing:
      return notFound(url)
    case STATUS.denied:
      return denied(url)
    case STATUS.unsupported:
      return notSupported('the server does not know this operation')
    case STATUS.failure:
      return broken(`the server says: ${String(message)}`)
    default:
      return unreachable(`the connection broke: ${String(message)}`, error)
  }
}

/** What ssh2 says about a connection that does not come about. Nothing of the login stands in the message. */
export function connectError(error: unknown, who: string): SourceError {
  const { level, message } = Object(error) as { level?: unknown; message?: unknown }
  if (level === 'client-authentication') {
    return new SourceError('source.denied', `${who} is not let in: ${String(message)}`)
  }
  return unreachable(`no connection as ${who}: ${String(message)}`, error)
}

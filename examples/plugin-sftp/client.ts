import { formatHttpDate, newResponse, rangeInvalid, SourceError } from 'dragonfly-ts/source'
import type { Entry, ExpireInfo, ResourceClient, SourceRequest, SourceResponse } from 'dragonfly-ts/source'
import type { FileEntryWithStats, SFTPWrapper, Stats } from 'ssh2'
import { type Address, addressOf, directoryUrl } from './address.ts'
import { closeFile, FileBody } from './file-body.ts'
import type { Options } from './options.ts'
import type { Done, Session, Sessions } from './sessions.ts'
import { STATUS, sftpError } from './sftp-error.ts'

export function createClient(options: Options, sessions: Sessions): Required<ResourceClient> {
  /** One operation, on a connection of its own or of others. */
  async function ask<T>(
    { url, signal }: SourceRequest,
    operation: (sftp: SFTPWrapper, path: string, done: Done<T>) => void,
  ): Promise<T> {
    const address = addressOf(url, options)
    using lease = await sessions.lease(address, signal)
    return await call(lease.session, url, (sftp, done) => operation(sftp, address.path, done))
  }
  const facts = async (request: SourceRequest): Promise<Stats> => {
    const stats = await ask<Stats>(request, (sftp, path, done) => sftp.stat(path, done))
    checkFile(stats, request.url)
    return stats
  }
  return {
    getContentLength: async (request) => (await facts(request)).size,
    isSupportRange: async (request) => facts(request).then(() => true),
    getLastModified: async (request) => (await facts(request)).mtime * 1000,
    async isExpired(request, { etag, lastModified }) {
      const now = expireInfoOf(await facts(request))
      return etag === undefined ? lastModified !== now.lastModified : etag !== now.etag
    },
    async stat(request) {
      const stats = await facts(request)
      return { contentLength: stats.size, supportsRange: true, expireInfo: expireInfoOf(stats), headers: {} }
    },
    download: (request) => download(request, addressOf(request.url, options), sessions),
    list: (request) => list(request, addressOf(request.url, options), sessions),
  }
}

async function download(request: SourceRequest, address: Address, sessions: Sessions): Promise<SourceResponse> {
  const { url, range, signal } = request
  const lease = await sessions.lease(address, signal)
  const open = call<Buffer>(lease.session, url, (sftp, done) => sftp.open(address.path, 'r', done))
  const handle = await open.catch((error: unknown) => {
    lease[Symbol.dispose]()
    throw error
  })
  try {
    const stats = await call<Stats>(lease.session, url, (sftp, done) => sftp.fstat(handle, done))
    signal.throwIfAborted()
    checkFile(stats, url)
    const { start, end } = range ?? { start: 0, end: stats.size - 1 }
    if (end >= stats.size) throw rangeInvalid(`range ${start}-${end} lies outside of the file's ${stats.size} bytes`)
    return newResponse(new FileBody({ lease, handle, stats, url }, start, end + 1, signal), {
      status: range === undefined ? 200 : 206,
      contentLength: end + 1 - start,
      expireInfo: expireInfoOf(stats),
      headers: { 'accept-ranges': 'bytes' },
    })
  } catch (error) {
    closeFile({ lease, handle })
    throw error
  }
}

async function* list(request: SourceRequest, address: Address, sessions: Sessions): AsyncGenerator<Entry> {
  const { url, signal } = request
  const lease = await sessions.lease(address, signal)
  let handle: Buffer
  try {
    handle = await call<Buffer>(lease.session, url, (sftp, done) => sftp.opendir(address.path, done))
  } catch (error) {
    lease[Symbol.dispose]()
    throw error
  }
  try {
    for (;;) {
      signal.throwIfAborted()
      const batch = await nextEntries(lease.session, handle, url)
      if (batch === undefined) return
      for (const entry of batch) {
        if (entry.filename !== '.' && entry.filename !== '..') yield await entryOf(entry, url, address, lease.session)
      }
    }
  } finally {
    closeFile({ lease, handle })
  }
}

/** The entries as the server parts them; undefined behind the last. */
async function nextEntries(session: Session, handle: Buffer, url: string): Promise<FileEntryWithStats[] | undefined> {
  try {
    return await session.call<FileEntryWithStats[]>((sftp, done) => sftp.readdir(handle, done))
  } catch (error) {
    if ((error as { code?: unknown }).code === STATUS.eof) return undefined
    throw sftpError(error, url)
  }
}

async function entryOf(found: FileEntryWithStats, url: string, address: Address, session: Session): Promise<Entry> {
  const { filename: name } = found
  let { attrs } = found
  if (attrs.isSymbolicLink()) {
    const path = `${address.path.replace(/\/$/, '')}/${name}`
    // One that leads nowhere is told as what it is: something that cannot be read.
    attrs = await session.call<Stats>((sftp, done) => sftp.stat(path, done)).catch(() => attrs)
  }
  const isDirectory = attrs.isDirectory()
  const relative = encodeURIComponent(name) + (isDirectory ? '/' : '')
  const entryUrl = `${directoryUrl(url).href}${relative}`
  return { url: entryUrl, name, isDirectory, ...(attrs.isFile() ? { contentLength: attrs.size } : {}) }
}

function call<T>(session: Session, url: string, operation: (sftp: SFTPWrapper, done: Done<T>) => void): Promise<T> {
  return session.call(operation).catch((error: unknown) => {
    throw sftpError(error, url)
  })
}

function checkFile(stats: Stats, url: string): void {
  if (stats.isFile()) return
  const what = stats.isDirectory() ? 'a directory: name a file in it' : 'no regular file'
  throw new SourceError('source.broken', `${new URL(url).pathname} is ${what}`, { lasting: true })
}

/** All that SFTP tells of a state: seconds and bytes. */
function expireInfoOf({ mtime, size }: Stats): ExpireInfo {
  return { etag: `"${mtime.toString(16)}-${size.toString(16)}"`, lastModified: formatHttpDate(mtime * 1000) }
}

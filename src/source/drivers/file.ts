import { constants, type BigIntStats } from 'node:fs'
import { type FileHandle, open, opendir, readlink, realpath, statfs } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { ByteSink } from '#core'
import type { Entry, ExpireInfo, ResourceClient, SourceRequest, SourceResponse } from '../contract.ts'
import { formatHttpDate } from '../http-date.ts'
import type { PourableBody } from '../pour-body.ts'
import { newResponse } from '../response.ts'
import { changed, notSupported, rangeInvalid, SourceError } from '../source-error.ts'

export interface FileClientOptions {
  /** Directories whose files other hosts may have too. A link that leads out of one is refused. */
  readonly roots: readonly string[]
}

const CHUNK_BYTES = 256 * 1024
const MOST_ENTRIES = 100_000

/** File systems of the kernel, whose files have no length and no end. */
const KERNEL_FILE_SYSTEMS = new Set([0x9fa0, 0x62656572, 0x64626720, 0x74726163, 0x27e0eb, 0x63677270])

/** Reads regular files of this host: `file:///absolute/path`. */
export function fileClient({ roots }: FileClientOptions): Required<ResourceClient> {
  const facts = async (request: SourceRequest): Promise<BigIntStats> => {
    await using file = await openRegular(request.url, roots)
    return file.stats
  }
  return {
    getContentLength: async (request) => Number((await facts(request)).size),
    isSupportRange: async (request) => facts(request).then(() => true),
    isExpired: async (request, info) => {
      const now = versionInfo(await facts(request))
      return info.etag ? info.etag !== now.etag : (info.lastModified ?? now.lastModified) !== now.lastModified
    },
    getLastModified: async (request) => Number((await facts(request)).mtimeMs),
    download: (request) => download(request, roots),
    list: (request) => listDirectory(request, roots),
    async stat(request) {
      const stats = await facts(request)
      return { contentLength: Number(stats.size), supportsRange: true, expireInfo: versionInfo(stats), headers: {} }
    },
  }
}

/** True for files that are below none of the shared directories. */
export function isLocalFile(url: string, roots: readonly string[]): boolean {
  try {
    const path = pathOf(url)
    return !roots.some((root) => isBelow(resolve(root), path))
  } catch {
    return true
  }
}

async function download(request: SourceRequest, roots: readonly string[]): Promise<SourceResponse> {
  const file = await openRegular(request.url, roots)
  try {
    const size = Number(file.stats.size)
    const { start, end } = request.range ?? { start: 0, end: size - 1 }
    if (end >= size) throw rangeInvalid(`range ${start}-${end} lies outside of the file's ${size} bytes`)
    const body = new FileBody(file, request, start, end + 1)
    const status = request.range === undefined ? 200 : 206
    return newResponse(body, {
      status,
      contentLength: end + 1 - start,
      expireInfo: versionInfo(file.stats),
      headers: { 'accept-ranges': 'bytes' },
    })
  } catch (error) {
    await file[Symbol.asyncDispose]()
    throw error
  }
}

/** The bytes from `start` to `end` (not included) of an open file, which is closed when they were read. */
class FileBody implements AsyncIterable<Uint8Array>, PourableBody {
  readonly #file: OpenFile
  readonly #request: SourceRequest
  readonly #start: number
  readonly #end: number

  constructor(file: OpenFile, request: SourceRequest, start: number, end: number) {
    this.#file = file
    this.#request = request
    this.#start = start
    this.#end = end
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (let at = this.#start; at < this.#end; ) {
        const chunk = new Uint8Array(Math.min(CHUNK_BYTES, this.#end - at))
        const read = await this.#read(chunk, at)
        at += read
        yield chunk.subarray(0, read)
      }
      await this.#checkSame()
    } finally {
      await this.destroy()
    }
  }

  async pour(sink: ByteSink): Promise<number> {
    let at = this.#start
    try {
      while (at < this.#end && !sink.full) {
        const read = await this.#read(sink.space().subarray(0, this.#end - at), at)
        at += read
        if (!sink.filled(read)) await sink.drained()
      }
      await this.#checkSame()
      return at - this.#start
    } finally {
      await this.destroy()
    }
  }

  async destroy(): Promise<void> {
    await this.#file[Symbol.asyncDispose]()
  }

  async #read(target: Uint8Array, at: number): Promise<number> {
    const { bytesRead } = await this.#file.handle.read(target, 0, target.length, at)
    this.#request.signal.throwIfAborted()
    if (bytesRead === 0) throw changed(this.#request.url)
    return bytesRead
  }

  /** A file that was written to while it was read may have given parts of two versions. */
  async #checkSame(): Promise<void> {
    const before = this.#file.stats
    const now = await this.#file.handle.stat({ bigint: true })
    if (now.mtimeNs !== before.mtimeNs || now.size !== before.size) throw changed(this.#request.url)
  }
}

interface OpenFile extends AsyncDisposable {
  readonly handle: FileHandle
  readonly stats: BigIntStats
}

async function openRegular(url: string, roots: readonly string[]): Promise<OpenFile> {
  const path = pathOf(url)
  // O_NONBLOCK: opening a pipe would wait for its other end.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw asSourceError(error)
  })
  try {
    const stats = await handle.stat({ bigint: true })
    if (stats.isDirectory()) throw notSupported('this is a directory, not a file')
    if (!stats.isFile()) throw notSupported('this is not a regular file')
    if (KERNEL_FILE_SYSTEMS.has((await statfs(path)).type)) throw notSupported('this is a file of the kernel')
    await checkInsideRoot(handle, stats, path, roots)
    let closed = false
    const close = async (): Promise<void> => {
      if (closed) return
      closed = true
      await handle.close()
    }
    return { handle, stats, [Symbol.asyncDispose]: close }
  } catch (error) {
    await handle.close()
    throw asSourceError(error)
  }
}

/** What is reached through a shared directory has to be in it really, not by a link that leads out. */
async function checkInsideRoot(
  handle: FileHandle,
  stats: BigIntStats,
  path: string,
  roots: readonly string[],
): Promise<void> {
  const named = roots.filter((root) => isBelow(resolve(root), path))
  if (named.length === 0) return
  const opened = await openedPath(handle, stats, path)
  for (const root of named) {
    if (isBelow(await realpath(root), opened)) return
  }
  throw new SourceError('source.denied', 'a link leads out of the shared directory')
}

/** Where the open file really lies. Asked of the handle, so that nothing can be exchanged in between. */
async function openedPath(handle: FileHandle, stats: BigIntStats, path: string): Promise<string> {
  try {
    return await readlink(`/proc/self/fd/${handle.fd}`)
  } catch {
    const real = await realpath(path)
    await using again = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    const { dev, ino } = await again.stat({ bigint: true })
    if (dev !== stats.dev || ino !== stats.ino) throw changed(pathToFileURL(path).href)
    return real
  }
}

async function* listDirectory(request: SourceRequest, roots: readonly string[]): AsyncGenerator<Entry> {
  const path = pathOf(request.url)
  if (roots.some((root) => isBelow(resolve(root), path))) await checkDirectory(path, roots)
  const directory = await opendir(path).catch((error: unknown) => {
    throw asSourceError(error)
  })
  let count = 0
  for await (const entry of directory) {
    request.signal.throwIfAborted()
    if (!entry.isDirectory() && !entry.isFile()) continue
    if (++count > MOST_ENTRIES) throw notSupported(`the directory has more than ${MOST_ENTRIES} entries`)
    yield { url: pathToFileURL(join(path, entry.name)).href, name: entry.name, isDirectory: entry.isDirectory() }
  }
}

async function checkDirectory(path: string, roots: readonly string[]): Promise<void> {
  const real = await realpath(path).catch((error: unknown) => {
    throw asSourceError(error)
  })
  for (const root of roots) {
    const realRoot = await realpath(root)
    if (real === realRoot || isBelow(realRoot, real)) return
  }
  throw new SourceError('source.denied', 'a link leads out of the shared directory')
}

/** The path of `file:///absolute/path`; no host but this one, no escaped slash, no NUL. */
function pathOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || parsed.protocol !== 'file:') throw notSupported('write it as file:///absolute/path')
  if (parsed.host !== '' && parsed.host !== 'localhost') {
    throw notSupported(`files of another host (${parsed.host}) cannot be read; write it as file:///absolute/path`)
  }
  try {
    parsed.host = ''
    const path = fileURLToPath(parsed)
    if (isAbsolute(path) && !path.includes('\0')) return resolve(path)
  } catch {
    // Told below, in the words that fit.
  }
  throw notSupported('its path cannot be one of a file; write it as file:///absolute/path')
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/** Modification time to the nanosecond and size: the same on every host that sees the same shared file. */
function versionInfo(stats: BigIntStats): ExpireInfo & { lastModified: string } {
  return {
    etag: `"${stats.mtimeNs.toString(36)}-${stats.size.toString(36)}"`,
    lastModified: formatHttpDate(Number(stats.mtimeMs)),
  }
}

function asSourceError(error: unknown): unknown {
  const { code } = Object(error) as { code?: unknown }
  const options = { cause: error }
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new SourceError('source.not_found', 'there is no such file', options)
  if (code === 'EACCES' || code === 'EPERM') {
    return new SourceError('source.denied', 'this user may not read the file', options)
  }
  if (code === 'ELOOP') return new SourceError('source.not_supported', 'its links lead in a circle', options)
  if (code === 'ENAMETOOLONG') return new SourceError('source.not_found', 'its name is too long for a file', options)
  return error
}

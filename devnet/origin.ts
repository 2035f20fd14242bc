import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Content, chunksOf, sha256Of, sizeOf } from './content.ts'
import { freePort } from './wait.ts'

/** What goes wrong at an origin. May be changed at any time; what is under way notices it at its next chunk. */
export interface OriginFaults {
  /** Cut the connection after this many bytes of a body … */
  dieAfterBytes?: number | undefined
  /** … this many times; always without it. */
  dieTimes?: number | undefined
  /** Answer a range with 200 and everything. */
  ignoreRanges?: boolean | undefined
  /** Chunked, no Content-Length. */
  noLength?: boolean | undefined
  /** No ETag, no Last-Modified. */
  noValidators?: boolean | undefined
  /** Added to the Content-Length that is announced. */
  lieLengthBy?: number | undefined
  /** Bytes per second of each answer. */
  bytesPerSecond?: number | undefined
  /** Wait before answering at all. */
  delayMs?: number | undefined
  /** Stop sending (the connection stays open) after this many bytes of a body. */
  stallAfterBytes?: number | undefined
  /** Answer with this status and no file. */
  status?: number | undefined
}

export interface OriginRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly range: string
  status: number
  /** Bytes of the body handed to the connection. */
  bytes: number
}

export interface OriginFile {
  readonly content: Content
  readonly etag?: string
  readonly lastModified?: string
}

export interface Origin extends AsyncDisposable {
  readonly port: number
  /** URL of a file by name. */
  url(name?: string): string
  /** Adds or replaces a file; its ETag follows from its bytes unless given. */
  put(name: string, content: Content, validators?: { etag?: string; lastModified?: string }): void
  readonly faults: OriginFaults
  readonly requests: readonly OriginRequest[]
  /** Bytes of bodies sent so far, over all requests. */
  readonly bytesSent: number
  /** GET requests so far whose path starts with that of a file. */
  gets(name?: string): OriginRequest[]
  /** Cuts every connection and refuses new ones until `accept`. */
  refuse(): Promise<void>
  accept(): Promise<void>
}

export interface OriginOptions {
  /** One content for `file.bin`, or contents by name. */
  readonly content?: Content | Readonly<Record<string, Content>>
  readonly faults?: OriginFaults
}

const DEFAULT_NAME = 'file.bin'
const FIRST_MODIFIED = 'Tue, 01 Jul 2025 10:00:00 GMT'

/** An HTTP origin in this process that can misbehave in ways a real server does not. */
export async function startOrigin(options: OriginOptions = {}): Promise<Origin> {
  const files = new Map<string, OriginFile>()
  const requests: OriginRequest[] = []
  const faults: OriginFaults = { ...options.faults }
  const put: Origin['put'] = (name, content, validators = {}) => {
    const etag = validators.etag ?? `"${sha256Of(content, 0, Math.min(sizeOf(content), 1 << 16)).slice(0, 16)}"`
    files.set(`/${name}`, { content, etag, lastModified: validators.lastModified ?? FIRST_MODIFIED })
  }
  const { content = {} } = options
  for (const [name, each] of Object.entries(isContent(content) ? { [DEFAULT_NAME]: content } : content)) put(name, each)

  const server = createServer((request, response) => {
    const seen = noted(request)
    requests.push(seen)
    answer(request, response, seen, files, faults).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 30_000
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', () => resolve(void server.off('error', reject)))
    })
  const port = await listenOnFreePort(listen)
  const refuse = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }
  return {
    port,
    url: (name = DEFAULT_NAME) => `http://127.0.0.1:${port}/${name}`,
    put,
    faults,
    requests,
    get bytesSent() {
      return requests.reduce((sum, request) => sum + request.bytes, 0)
    },
    gets: (name = '') => requests.filter(({ method, path }) => method === 'GET' && path.startsWith(`/${name}`)),
    refuse,
    accept: () => listen(port),
    [Symbol.asyncDispose]: refuse,
  }
}

/** Not any port: nobody may get it while this origin refuses. */
async function listenOnFreePort(listen: (port: number) => Promise<void>): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      await listen(port)
      return port
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

function isContent(content: OriginOptions['content']): content is Content {
  return content instanceof Uint8Array || typeof (content as { size?: unknown }).size === 'number'
}

function noted(request: IncomingMessage): OriginRequest {
  const { method = '', url: path = '', headers, rawHeaders } = request
  return { method, path, headers, rawHeaders, range: headers.range ?? '', status: 0, bytes: 0 }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  seen: OriginRequest,
  files: ReadonlyMap<string, OriginFile>,
  faults: OriginFaults,
): Promise<void> {
  request.resume()
  if (faults.delayMs) await sleep(faults.delayMs)
  const file = files.get(seen.path.replace(/\?.*/, ''))
  const failed = faults.status ?? (file === undefined ? 404 : undefined)
  if (failed !== undefined || file === undefined) {
    seen.status = failed ?? 404
    response.writeHead(seen.status, { 'content-type': 'text/plain' }).end(`status ${seen.status}\n`)
    return
  }
  const validators = faults.noValidators ? {} : validatorsOf(file)
  if (seen.headers['if-none-match'] !== undefined && seen.headers['if-none-match'] === validators.etag) {
    seen.status = 304
    response.writeHead(304, validators).end()
    return
  }
  const length = sizeOf(file.content)
  const { status, start, end } = part(seen, length, validators, faults)
  seen.status = status
  response.writeHead(status, {
    'content-type': 'application/octet-stream',
    ...validators,
    ...(faults.ignoreRanges ? {} : { 'accept-ranges': 'bytes' }),
    ...(status === 206 ? { 'content-range': `bytes ${start}-${end - 1}/${length}` } : {}),
    ...(status === 416 ? { 'content-range': `bytes */${length}` } : {}),
    // A server that promised too much can only hang up.
    ...(faults.lieLengthBy ? { connection: 'close' } : {}),
    ...(faults.noLength ? {} : { 'content-length': String(end - start + (faults.lieLengthBy ?? 0)) }),
  })
  if (seen.method === 'HEAD' || status === 416) response.end()
  else await send(response, seen, chunksOf(file.content, start, end), faults)
}

function validatorsOf(file: OriginFile): { etag?: string; 'last-modified'?: string } {
  return {
    ...(file.etag === undefined ? {} : { etag: file.etag }),
    ...(file.lastModified === undefined ? {} : { 'last-modified': file.lastModified }),
  }
}

/** Which bytes answer a request, `end` not included. */
function part(
  seen: OriginRequest,
  length: number,
  validators: { etag?: string },
  faults: OriginFaults,
): { status: number; start: number; end: number } {
  const match = /^bytes=(\d*)-(\d*)$/.exec(seen.range)
  const condition = seen.headers['if-range']
  const other = typeof condition === 'string' && condition.startsWith('"') && condition !== validators.etag
  if (match === null || faults.ignoreRanges || other) return { status: 200, start: 0, end: length }
  const [, first = '', last = ''] = match
  const start = first === '' ? Math.max(length - Number(last), 0) : Number(first)
  const end = first === '' || last === '' ? length : Math.min(Number(last) + 1, length)
  return start < end ? { status: 206, start, end } : { status: 416, start: 0, end: 0 }
}

async function send(
  response: ServerResponse,
  seen: OriginRequest,
  chunks: Iterable<Uint8Array>,
  faults: OriginFaults,
): Promise<void> {
  for (const chunk of slices(chunks, faults)) {
    const left = faults.dieAfterBytes === undefined ? Infinity : faults.dieAfterBytes - seen.bytes
    const dies = left < chunk.length && faults.dieTimes !== 0
    await write(response, dies ? chunk.subarray(0, Math.max(left, 0)) : chunk, seen)
    if (dies) {
      if (faults.dieTimes !== undefined) faults.dieTimes--
      // Without a moment to send it the kernel throws away what is still queued.
      await sleep(20)
      response.destroy()
      return
    }
    while (faults.stallAfterBytes !== undefined && seen.bytes >= faults.stallAfterBytes && !response.destroyed) {
      await sleep(20)
    }
    if (faults.bytesPerSecond) await sleep((chunk.length / faults.bytesPerSecond) * 1000)
    if (response.destroyed) return
  }
  response.end()
}

/** Small chunks, so that a fault strikes near the byte it names and a slow origin is slow evenly. */
function* slices(chunks: Iterable<Uint8Array>, faults: OriginFaults): Generator<Uint8Array> {
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const step = faults.bytesPerSecond ? Math.max(Math.ceil(faults.bytesPerSecond / 50), 1) : 65_536
      yield chunk.subarray(at, at + step)
      at += step
    }
  }
}

async function write(response: ServerResponse, chunk: Uint8Array, seen: OriginRequest): Promise<void> {
  if (chunk.length === 0 || response.destroyed) return
  seen.bytes += chunk.length
  if (response.write(chunk)) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}

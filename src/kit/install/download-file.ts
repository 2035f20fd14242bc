import { type ByteSink, Failure, formatBytes } from '#core'
import { builtInSources, createSources, redactUrl, type SourceSettings } from '#source'

const SPACE_BYTES = 64 * 1024
/** Somebody sits there and waits: what does not answer is told sooner than in a download that runs by itself. */
const MOST_TRIES = 3

export interface DownloadFileOptions {
  readonly settings: SourceSettings
  readonly mostBytes: number
  readonly signal: AbortSignal
  warn(message: string): void
}

/** All bytes of an http(s) URL, read as every download of ours is. Fails with `source.*`, or `plugin.broken` when long. */
export async function downloadFile(url: string, options: DownloadFileOptions): Promise<Buffer> {
  const { mostBytes, signal } = options
  const { retry } = options.settings
  const attempts = Math.min(MOST_TRIES, retry.attempts)
  const settings = { ...options.settings, retry: { ...retry, attempts, probeAttempts: attempts } }
  const warn = (message: string): void => options.warn(message)
  const source = await createSources({ builtIn: builtInSources(settings, warn), settings, warn }).for(url)
  const sink = memorySink(() => {
    throw new Failure('plugin.broken', `${redactUrl(url)} is larger than ${formatBytes(mostBytes)}: that is no plugin`)
  }, mostBytes)
  await source.read({ url, headers: {} }, sink, { signal })
  return sink.bytes()
}

function memorySink(tooLong: () => never, mostBytes: number): ByteSink & { bytes(): Buffer } {
  const chunks: Buffer[] = []
  let space = Buffer.allocUnsafe(SPACE_BYTES)
  let heldBytes = 0
  return {
    full: false,
    space: () => space,
    filled(length) {
      heldBytes += length
      if (heldBytes > mostBytes) tooLong()
      chunks.push(space.subarray(0, length))
      space = length === space.length ? Buffer.allocUnsafe(SPACE_BYTES) : space.subarray(length)
      return true
    },
    drained: () => Promise.resolve(),
    bytes: () => Buffer.concat(chunks),
  }
}

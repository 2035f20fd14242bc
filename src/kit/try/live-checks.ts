import { asFailure, formatBytes, formatDuration, resolveSettings } from '#core'
import { type Source, sourceSettings } from '#source'
import { firstDifference, known, type Reference } from './reference.ts'
import { collectingSink } from './sinks.ts'
import type { Bench } from './try-plugin.ts'
import { notSupported, notTried } from './verdict.ts'

/** A read that is cut in the middle, and the rest of it as a range: together they are the resource. */
export async function goesOn(bench: Bench, reference: Reference | undefined, signal: AbortSignal): Promise<string> {
  const { content, resource, expireInfo } = known(reference)
  if (content.length < 2) throw notTried('give a --url of two bytes or more')
  if (resource.supportsRange !== true) throw notSupported('without ranges a download that breaks starts again')
  const request = { url: bench.order.url, headers: bench.order.headers }
  const cut = new AbortController()
  const half = Math.floor(content.length / 2)
  const sink = collectingSink(half, () => cut.abort())
  await bench.source.read(request, sink, { signal: AbortSignal.any([signal, cut.signal]) }).catch((error: unknown) => {
    if (!cut.signal.aborted) throw error
  })
  const start = sink.bytes()
  if (start.length !== half) throw new Error(`the read ended at byte ${start.length}, before it was cut at ${half}`)
  const rest = collectingSink()
  const range = { start: half, end: content.length - 1 }
  await bench.source.read(request, rest, { signal, range, ifMatch: expireInfo })
  const at = firstDifference(Buffer.concat([start, rest.bytes()]), content)
  if (at !== undefined) throw new Error(`cut at byte ${half}; the bytes differ from byte ${at} on`)
  return `cut at byte ${half}, the rest by range`
}

export async function saysDenied({ source, order }: Bench, signal: AbortSignal): Promise<string> {
  const { deniedUrl, headers } = order
  if (deniedUrl === undefined) throw notTried('give --denied-url')
  const code = await source.read({ url: deniedUrl, headers }, collectingSink(), { signal }).then(
    ({ bytes }) => `${bytes} bytes`,
    (error: unknown) => asFailure(error).code,
  )
  if (code !== 'source.denied') throw new Error(`got ${code}, expected source.denied`)
  return ''
}

export async function takesEmpty({ source, order }: Bench, signal: AbortSignal): Promise<string> {
  const { emptyUrl, headers } = order
  if (emptyUrl === undefined) throw notTried('give --empty-url')
  const bytes = await readAll(source, emptyUrl, headers, signal)
  if (bytes.length > 0) throw new Error(`${bytes.length} bytes came`)
  return ''
}

/** Users write URLs one way or the other; both mean the same. */
export async function readsUnicode({ source, order }: Bench, signal: AbortSignal): Promise<string> {
  const { unicodeUrl, headers } = order
  if (unicodeUrl === undefined) throw notTried('give --unicode-url')
  const encoded = encodeURI(decoded(unicodeUrl))
  const plain = decodeURI(encoded)
  if (encoded === plain) throw notTried('give a --unicode-url with a character beyond ASCII in its path')
  const [first, second] = [
    await readAll(source, plain, headers, signal),
    await readAll(source, encoded, headers, signal),
  ]
  const at = firstDifference(first, second)
  if (at !== undefined) throw new Error(`${plain} and ${encoded} differ at byte ${at}`)
  return formatBytes(first.length)
}

function decoded(url: string): string {
  try {
    return decodeURI(url)
  } catch {
    return url
  }
}

/** Describes and reads, and compares the one with the other. */
async function readAll(
  source: Source,
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { contentLength } = await source.describe({ url, headers }, signal)
  const sink = collectingSink()
  await source.read({ url, headers }, sink, { signal })
  if (contentLength !== undefined && contentLength !== sink.count)
    throw new Error(`its length is said to be ${contentLength}, but ${sink.count} bytes came`)
  return sink.bytes()
}

/** How long a description and a first byte take, against the limits that hosts have by default. */
export async function answersInTime({ source, order }: Bench, signal: AbortSignal): Promise<string> {
  const { describeTimeout, idleTimeout } = resolveSettings(sourceSettings, [])
  const { url, headers } = order
  const began = performance.now()
  await source.describe({ url, headers }, signal)
  const describeMs = performance.now() - began
  const abort = new AbortController()
  let firstMs: number | undefined
  const sink = collectingSink(1, () => {
    firstMs ??= performance.now() - began - describeMs
    abort.abort()
  })
  await source
    .read({ url, headers }, sink, { signal: AbortSignal.any([signal, abort.signal]) })
    .catch((error: unknown) => {
      if (!abort.signal.aborted) throw error
    })
  const seen = `described in ${Math.round(describeMs)} ms, first byte after ${Math.round(firstMs ?? 0)} ms`
  const limits = `(limits ${formatDuration(describeTimeout)}, ${formatDuration(idleTimeout)})`
  if (describeMs > describeTimeout || (firstMs ?? 0) > idleTimeout) throw new Error(`${seen} ${limits}`)
  return `${seen} ${limits}`
}

import { setTimeout as sleep } from 'node:timers/promises'
import { formatBytes } from '#core'
import { memoryOf } from './memory-of.ts'
import type { Reference } from './reference.ts'
import { restingSink } from './sinks.ts'
import type { Bench } from './try-plugin.ts'
import { notTried } from './verdict.ts'

/** So much of a huge resource is read, and no more. */
const READ_BYTES = 64 * 2 ** 20
const HUGE_BYTES = 2 ** 30
const LARGE_BYTES = 32 * 2 ** 20
/** What a runtime may take for its own good, garbage included, while bytes go through it. */
const MOST_GROWTH_BYTES = 192 * 2 ** 20
/** What may come in while nobody takes anything: the buffers of sockets and streams. */
const MOST_READ_AHEAD_BYTES = 32 * 2 ** 20
const REST_MS = 700

/** A part of something huge: it comes while it is read, not before, and the plugin does not grow with it. */
export async function streamsHuge(bench: Bench, signal: AbortSignal): Promise<string> {
  const { hugeUrl } = bench.order
  if (hugeUrl === undefined) throw notTried('give --huge-url, of 1 GiB or more')
  const { contentLength } = await bench.source.describe({ url: hugeUrl, headers: bench.order.headers }, signal)
  if (contentLength !== undefined && contentLength < HUGE_BYTES)
    throw notTried(`give a --huge-url of 1 GiB or more: this one has ${formatBytes(contentLength)}`)
  const { bytes, grownBytes } = await readAndRest(bench, hugeUrl, READ_BYTES, signal)
  if (bytes < READ_BYTES) throw new Error(`only ${formatBytes(bytes)} came`)
  if (grownBytes === undefined) return `${formatBytes(bytes)} read; memory cannot be seen on this system`
  const seen = `${formatBytes(bytes)} read, memory of the plugin +${formatBytes(Math.max(0, grownBytes))}`
  if (grownBytes > MOST_GROWTH_BYTES) throw new Error(`${seen}: it gathers what it should hand on`)
  return seen
}

/** The reader stops taking: then the plugin stops reading from its origin. */
export async function keepsPace(bench: Bench, reference: Reference | undefined, signal: AbortSignal): Promise<string> {
  const { hugeUrl, url } = bench.order
  const large = (reference?.content.length ?? 0) >= LARGE_BYTES
  if (hugeUrl === undefined && !large) throw notTried('give --huge-url, or a --url of 32 MiB or more')
  const { restedBytes } = await readAndRest(bench, hugeUrl ?? url, 2 ** 20, signal)
  if (restedBytes === undefined) return 'memory cannot be seen on this system'
  const seen = `memory +${formatBytes(Math.max(0, restedBytes))} while the reader rested`
  if (restedBytes > MOST_READ_AHEAD_BYTES) throw new Error(`${seen}: it reads ahead of who reads from it`)
  return seen
}

/** Growth of the plugin's memory while it was read from, and then while nobody took anything. */
interface Pace {
  readonly bytes: number
  readonly grownBytes: number | undefined
  readonly restedBytes: number | undefined
}

async function readAndRest(bench: Bench, url: string, most: number, signal: AbortSignal): Promise<Pace> {
  await using fresh = await bench.anew()
  const { plugin, source, order } = fresh
  const before = memoryOf(plugin.pid)
  const over = new AbortController()
  let rest: () => void = () => undefined
  const resting = new Promise<void>((resolve) => (rest = resolve))
  const sink = restingSink(most, rest)
  const options = { signal: AbortSignal.any([signal, over.signal]) }
  const reading = source.read({ url, headers: order.headers }, sink, options)
  try {
    await Promise.race([resting, reading])
    const atRest = memoryOf(plugin.pid)
    await sleep(REST_MS, undefined, { signal })
    const after = memoryOf(plugin.pid)
    return { bytes: sink.count, grownBytes: minus(after, before), restedBytes: minus(after, atRest) }
  } finally {
    over.abort()
    sink.goOn()
    await reading.catch(() => undefined)
  }
}

function minus(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before
}

import type { Socket } from 'node:net'
import { Download, type DownloadTaskResponse, TrafficType } from '#api'
import { Failure, formatDigest, formatRangeRequest } from '#core'
import { DaemonCall } from './daemon-call/daemon-call.ts'
import type { Order } from './order.ts'
import type { Onlooker, Outcome, Traffic } from './outcome.ts'

export interface AskOptions {
  /** Connected to the daemon; it is closed in the end. */
  readonly connection: Socket
  /** How messages name the daemon. */
  readonly name: string
  readonly onlooker: Onlooker
  /** Takes the bytes in order, for an order without an output. */
  readonly write: (bytes: Uint8Array) => Promise<void>
}

/**
 * Has the daemon bring the file. Fails with the daemon's own failure, or with `daemon.unavailable` when it goes away in
 * the middle.
 */
export async function askDaemon(order: Order, options: AskOptions, signal: AbortSignal): Promise<Outcome> {
  using call = new DaemonCall(options.connection, options.name, { download: wishOf(order) })
  for await (const message of call.responses(signal)) {
    await take(message, options)
    if (message.summary !== undefined) return outcomeOf(message, message.summary)
  }
  throw new Failure('daemon.unavailable', 'the daemon ended the answer before the download was done')
}

async function take({ response, content }: DownloadTaskResponse, { onlooker, write }: AskOptions): Promise<void> {
  if (response?.$case === 'downloadTaskStartedResponse') {
    onlooker.started(response.value.range?.length ?? (response.value.contentLength || undefined))
  }
  if (response?.$case === 'downloadPieceFinishedResponse' && response.value.piece !== undefined) {
    const { length, trafficType } = response.value.piece
    onlooker.arrived(length, TRAFFIC[trafficType ?? TrafficType.BACK_TO_SOURCE] ?? 'source')
  }
  if (content !== undefined) await write(content.bytes)
}

const TRAFFIC: Readonly<Record<number, Traffic>> = {
  [TrafficType.BACK_TO_SOURCE]: 'source',
  [TrafficType.REMOTE_PEER]: 'peers',
  [TrafficType.LOCAL_PEER]: 'local',
}

function wishOf(order: Order): Download {
  const { range } = order
  // The message can hold a closed range only; the others travel as the header that they are.
  const closed = range !== undefined && 'start' in range && range.end !== undefined ? range : undefined
  const open = range !== undefined && closed === undefined ? { range: `bytes=${formatRangeRequest(range)}` } : {}
  return Download.fromPartial({
    url: order.url,
    tag: order.tag,
    filteredQueryParams: [...order.filteredQueryParams],
    requestHeader: { ...order.headers, ...open },
    digest: order.digest && formatDigest(order.digest),
    range: closed && { start: closed.start, length: (closed.end ?? 0) - closed.start + 1 },
    outputPath: order.output,
    overwrite: true,
    originalOffset: order.originalOffset,
    streamContent: order.output === undefined,
    rateLimit: order.rateLimitBytes,
    disableBackToSource: order.disableBackSource,
    timeout: order.timeoutMs === 0 ? undefined : durationOf(order.timeoutMs),
  })
}

function durationOf(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 }
}

function outcomeOf({ taskId }: DownloadTaskResponse, summary: NonNullable<DownloadTaskResponse['summary']>): Outcome {
  return {
    taskId,
    bytes: summary.bytes,
    contentLength: summary.contentLength,
    bytesFromSource: summary.bytesFromSource,
    bytesFromPeers: summary.bytesFromPeers,
    bytesLocal: summary.bytesLocal,
    bytesByParentHost: summary.bytesByParentHost,
    by: 'daemon',
  }
}

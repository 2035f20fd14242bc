import { isAbsolute } from 'node:path'
import { type Download, DownloadTaskResponse, type Summary } from '#api'
import { asFailure, Failure, formatDuration, parseDigest, parseRange, parseUrl } from '#core'
import type { StoredTask } from '#storage'
import type { Counts } from './counts.ts'
import { type DownloadDeps, download, type OpenRange } from './download.ts'
import { follow } from './follow.ts'
import { MessageQueue } from './message-queue.ts'
import type { DownloadRequest, DownloadResult } from './request.ts'
import { pieceMessage } from './scheduler-planner.ts'

export interface ServeDownloadDeps extends DownloadDeps {
  readonly hostId: string
  readonly counts: Counts
}

/** Content messages that may wait for a slow reader, 1 MiB each. */
const QUEUED_MESSAGES = 4

/** One download on behalf of a caller, told step by step. The caller's leaving ends it, unless others wait for it too. */
export async function* serveDownload(
  wish: Download | undefined,
  deps: ServeDownloadDeps,
  signal: AbortSignal,
): AsyncGenerator<DownloadTaskResponse> {
  const request = requestOf(wish)
  const messages = new MessageQueue<DownloadTaskResponse>(QUEUED_MESSAGES)
  const left = new AbortController()
  using limit = timeLimit(wish)
  const both = AbortSignal.any([signal, left.signal, limit.signal])
  const running = runDownload(request, wish?.streamContent ?? false, messages, deps, both)
  try {
    yield* messages
  } finally {
    left.abort(new Failure('download.cancelled', 'the caller hung up'))
    await running
  }
}

async function runDownload(
  request: DownloadRequest,
  streamContent: boolean,
  messages: MessageQueue<DownloadTaskResponse>,
  deps: ServeDownloadDeps,
  signal: AbortSignal,
): Promise<void> {
  let streaming: Promise<void> = Promise.resolve()
  let taskId = ''
  const message = (more: Partial<DownloadTaskResponse>): DownloadTaskResponse =>
    DownloadTaskResponse.fromPartial({ hostId: deps.hostId, taskId, ...more })
  deps.counts.add('dragonfly_dfdaemon_peer_task_total')
  try {
    const result = await download(request, deps, signal, {
      started(task, range, held) {
        taskId = task.meta.taskId
        messages.add(message({ response: startedMessage(task, range) }))
        for (const piece of held) messages.add(message({ response: pieceFinished(piece) }))
        if (streamContent) streaming = stream(task, range, (content) => messages.put(message({ content })), signal)
        streaming.catch(() => undefined) // told below
      },
      piece: (piece) => messages.add(message({ response: pieceFinished(piece) })),
    })
    await streaming
    const { fromSource, fromPeers } = result.tally
    if (fromSource + fromPeers === 0) deps.counts.add('dragonfly_dfdaemon_peer_task_cache_hit_total')
    messages.add(message({ summary: summaryMessage(result) }))
    messages.end()
  } catch (error) {
    const told = signal.aborted ? asFailure(signal.reason) : error
    deps.counts.add('dragonfly_dfdaemon_peer_task_failed_total', 1, { code: asFailure(told).code })
    messages.fail(told)
  }
}

async function stream(
  task: StoredTask,
  range: OpenRange,
  put: (content: { offset: number; bytes: Uint8Array }) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  using _hold = task.hold()
  for await (const content of follow(task, range, signal)) await put(content)
}

function startedMessage(task: StoredTask, range: OpenRange): NonNullable<DownloadTaskResponse['response']> {
  const { start, end } = range
  return {
    $case: 'downloadTaskStartedResponse',
    value: {
      contentLength: task.contentLength ?? 0,
      range: end === undefined ? undefined : { start, length: end - start + 1 },
      responseHeader: { ...task.meta.headers },
      pieces: [],
      isFinished: task.complete,
    },
  }
}

function pieceFinished(piece: Parameters<typeof pieceMessage>[0]): NonNullable<DownloadTaskResponse['response']> {
  return { $case: 'downloadPieceFinishedResponse', value: { piece: pieceMessage(piece) } }
}

function summaryMessage({ tally, contentLength, bytes, exportedBy }: DownloadResult): Summary {
  return {
    bytesFromSource: tally.fromSource,
    bytesFromPeers: tally.fromPeers,
    bytesLocal: tally.local,
    contentLength,
    bytes,
    parents: tally.byParentHost.size,
    bytesByParentHost: Object.fromEntries(tally.byParentHost),
    export: exportedBy === 'none' ? '' : exportedBy,
  }
}

/** The wish as a request, checked; what cannot be done here is refused by name. */
function requestOf(wish: Download | undefined): DownloadRequest {
  if (wish === undefined) throw new Failure('usage.invalid', 'the request names no download')
  if (wish.type !== 0)
    throw new Failure('source.not_supported', `tasks of type ${wish.type} are not known here, only standard ones`)
  parseUrl(wish.url)
  const output = wish.outputPath || undefined
  if (output !== undefined && !isAbsolute(output))
    throw new Failure('output.invalid', `output "${output}" is no absolute path`)
  const { range } = wish
  const { range: openRange, ...headers } = lowerCased(wish.requestHeader)
  return {
    url: wish.url,
    headers,
    tag: wish.tag ?? '',
    application: wish.application ?? '',
    filteredQueryParams: wish.filteredQueryParams,
    pieceLength: wish.pieceLength,
    digest: wish.digest ? parseDigest(wish.digest) : undefined,
    // The message has closed ranges only: `a-` and `-n` travel as the header that they are.
    range: range
      ? { start: range.start, end: range.start + range.length - 1 }
      : openRange
        ? parseRange(openRange)
        : undefined,
    output,
    originalOffset: wish.originalOffset,
    rateLimitBytes: wish.rateLimit || undefined,
    disableBackSource: wish.disableBackToSource,
    needBackSource: wish.needBackToSource,
    inOrder: wish.streamContent,
  }
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** Aborted once the caller's time is over; 0 is no limit. */
function timeLimit(wish: Download | undefined): { readonly signal: AbortSignal } & Disposable {
  const { seconds = 0, nanos = 0 } = wish?.timeout ?? {}
  const ms = seconds * 1000 + nanos / 1e6
  const limit = new AbortController()
  const fail = (): void => limit.abort(new Failure('download.timeout', `download timeout(${formatDuration(ms)})`))
  const timer = ms > 0 ? setTimeout(fail, Math.min(ms, 2 ** 31 - 1)) : undefined
  return { signal: limit.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}

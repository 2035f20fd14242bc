import { downloadDirectly, type DownloadResult } from '#daemon'
import { createLog, type Logger, silentLog } from '#runtime'
import { daemonTree } from './daemon-settings.ts'
import type { Order } from './order.ts'
import type { Onlooker, Outcome, Traffic } from './outcome.ts'
import { openSources } from './open-sources.ts'
import { loadSettings } from './setting-flags.ts'

export interface WithoutDaemonOptions {
  readonly onlooker: Onlooker
  /** Takes the bytes in order, for an order without an output. */
  readonly write: (bytes: Uint8Array) => Promise<void>
}

const TRAFFIC: Readonly<Record<'source' | 'peer', Traffic>> = { source: 'source', peer: 'peers' }

/** Reads the origin in this process: no daemon, no swarm. */
export async function withoutDaemon(
  order: Order,
  { onlooker, write }: WithoutDaemonOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const log = logOf(order)
  const {
    sources: settings,
    plugins,
    pluginPolicy,
  } = loadSettings(daemonTree, {
    config: order.config,
    flags: {},
    plugins: order.plugins,
  })
  const { pluginDirs, directories } = order
  const { workhome } = directories
  const print = (plugin: string, line: string): void => void process.stderr.write(`dfget: ${plugin}: ${line}\n`)
  await using opened = openSources({ sources: settings, plugins, pluginPolicy, pluginDirs, workhome, log, print })
  const { sources } = opened
  const result = await downloadDirectly(requestOf(order), { sources, log }, signal, {
    started(task, { start, end }, held) {
      const last = end ?? (task.contentLength === undefined ? undefined : task.contentLength - 1)
      onlooker.started(last === undefined ? undefined : last - start + 1)
      for (const piece of held) onlooker.arrived(piece.length, 'local')
    },
    piece: ({ length, traffic }) => onlooker.arrived(length, TRAFFIC[traffic]),
    ...(order.output === undefined ? { write } : {}),
  })
  return outcomeOf(result)
}

function requestOf(order: Order): Parameters<typeof downloadDirectly>[0] {
  const { url, headers, tag, filteredQueryParams, digest, range, output, originalOffset, rateLimitBytes } = order
  return {
    url,
    headers,
    tag,
    application: '',
    filteredQueryParams,
    pieceLength: undefined,
    digest,
    range,
    output,
    originalOffset,
    rateLimitBytes,
    disableBackSource: order.disableBackSource,
    needBackSource: false,
    inOrder: output === undefined,
  }
}

function outcomeOf({ taskId, bytes, contentLength, tally }: DownloadResult): Outcome {
  return {
    taskId,
    bytes,
    contentLength,
    bytesFromSource: tally.fromSource,
    bytesFromPeers: tally.fromPeers,
    bytesLocal: tally.local,
    bytesByParentHost: Object.fromEntries(tally.byParentHost),
    by: 'dfget',
  }
}

/** What goes on inside is of interest to those who ask for it. */
function logOf({ console, verbose }: Order): Logger {
  if (!console && !verbose) return silentLog
  return createLog({ name: 'dfget', level: verbose ? 'debug' : 'info' })
}

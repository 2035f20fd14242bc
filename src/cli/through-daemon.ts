import { Failure } from '#core'
import { askDaemon, type AskOptions } from './ask-daemon.ts'
import { connectTo, isDaemonUp, socketPath } from './daemon-socket.ts'
import type { Order } from './order.ts'
import type { Outcome } from './outcome.ts'

export interface ThroughDaemonOptions extends Pick<AskOptions, 'onlooker' | 'write'> {
  readonly warn: (text: string) => void
}

/** Asks the daemon, and starts one first where none listens. A daemon that listens costs one call and nothing else. */
export async function throughDaemon(
  order: Order,
  options: ThroughDaemonOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const socket = socketPath(order.directories.workhome)
  let connection = await connectTo(socket)
  let how: 'started' | 'was up' = 'was up'
  if (connection === undefined) {
    how = await wake(order, () => isDaemonUp(socket), signal)
    connection = await connectTo(socket)
  }
  if (connection === undefined) throw new Failure('daemon.unavailable', `nobody listens on ${socket} any more`)
  if (how === 'was up' && tellsDaemon(order))
    options.warn('a daemon runs already: --scheduler, --config and --plugin-… are for one that is started')
  return askDaemon(order, { ...options, connection, name: `unix:${socket}` }, signal)
}

async function wake(order: Order, isUp: () => Promise<boolean>, signal: AbortSignal): Promise<'started' | 'was up'> {
  const { wakeDaemon } = await import('./wake-daemon.ts')
  const { directories, schedulers, pluginDirs, plugins, config, verbose } = order
  return wakeDaemon(
    { directories, schedulers, pluginDirs, plugins, config, verbose, command: launcher(), isUp },
    signal,
  )
}

/** The command line has what only a daemon that is started can heed. */
function tellsDaemon({ schedulers, pluginDirs, plugins, config }: Order): boolean {
  const given = [schedulers, pluginDirs, plugins.pluginOption, plugins.pluginGrant]
  return config !== undefined || given.some((list) => list.length > 0)
}

/** This very program. */
function launcher(): readonly [string, ...string[]] {
  const [node, script] = process.argv
  if (node === undefined || script === undefined)
    throw new Failure('daemon.unavailable', 'cannot tell how to start a daemon')
  return [node, script]
}

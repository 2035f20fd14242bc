import { Failure } from '#core'
import { askDaemon, type AskOptions } from './ask-daemon.ts'
import { isDaemonUp, socketPath } from './daemon-socket.ts'
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
  const ask = { onlooker: options.onlooker, write: options.write, socket }
  if (!(await isDaemonUp(socket))) {
    const { wakeDaemon } = await import('./wake-daemon.ts')
    const { directories, schedulers, pluginDirs, config, verbose } = order
    const isUp = (): Promise<boolean> => isDaemonUp(socket)
    await wakeDaemon({ directories, schedulers, pluginDirs, config, verbose, command: launcher(), isUp }, signal)
  } else if (order.schedulers.length > 0 || order.pluginDirs.length > 0 || order.config !== undefined) {
    options.warn('a daemon runs already: --scheduler, --plugin-dir and --config are for one that is started')
  }
  return askDaemon(order, ask, signal)
}

/** This very program. */
function launcher(): readonly [string, ...string[]] {
  const [node, script] = process.argv
  if (node === undefined || script === undefined)
    throw new Failure('daemon.unavailable', 'cannot tell how to start a daemon')
  return [node, script]
}

import { connect } from 'node:net'
import { join } from 'node:path'

const CONNECT_MS = 1000

/** Where a daemon listens for `dfget`. */
export function socketPath(workhome: string): string {
  return join(workhome, 'daemon.sock')
}

/** Whether somebody listens on the socket. A daemon listens there when everything else of it is ready. */
export function isDaemonUp(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect({ path: socket, timeout: CONNECT_MS })
    const tell = (up: boolean): void => {
      connection.destroy()
      resolve(up)
    }
    connection.once('connect', () => tell(true))
    connection.once('timeout', () => tell(false))
    connection.once('error', () => tell(false))
  })
}

import { connect, type Socket } from 'node:net'
import { join } from 'node:path'

const CONNECT_MS = 1000

/** Where a daemon listens for `dfget`. */
export function socketPath(workhome: string): string {
  return join(workhome, 'daemon.sock')
}

/** A connection to who listens on the socket; undefined when nobody does. A daemon listens when everything else of it is ready. */
export function connectTo(socket: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const connection = connect({ path: socket })
    const tell = (up: boolean): void => {
      clearTimeout(timer)
      if (up) connection.off('error', refused)
      else connection.destroy()
      resolve(up ? connection : undefined)
    }
    const refused = (): void => tell(false)
    const timer = setTimeout(refused, CONNECT_MS)
    connection.on('error', refused)
    connection.once('connect', () => tell(true))
  })
}

/** Whether somebody listens on the socket. */
export async function isDaemonUp(socket: string): Promise<boolean> {
  const connection = await connectTo(socket)
  connection?.destroy()
  return connection !== undefined
}

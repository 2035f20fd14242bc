import type { Channel } from './grpc/channel.ts'
import { type Client, clientOf } from './grpc/client.ts'
import { serverStream, unary } from './grpc/method.ts'
import {
  DeleteTaskRequest,
  DownloadTaskRequest,
  DownloadTaskResponse,
  Empty,
  StatTaskRequest,
  Task,
} from './messages.ts'
import { checkDownloadTask, checkIds } from './validate.ts'

const NAME = '/dfdaemon.v2.DfdaemonDownload'
const MiB = 2 ** 20

/** What dfget asks of the daemon on its own machine, over a unix socket. */
export const downloadService = {
  downloadTask: serverStream(`${NAME}/DownloadTask`, DownloadTaskRequest, DownloadTaskResponse, {
    check: checkDownloadTask,
    maxRequestBytes: MiB,
    maxResponseBytes: 80 * MiB,
  }),
  statTask: unary(`${NAME}/StatTask`, StatTaskRequest, Task, { check: checkIds }),
  deleteTask: unary(`${NAME}/DeleteTask`, DeleteTaskRequest, Empty, { check: checkIds }),
  deleteHost: unary(`${NAME}/DeleteHost`, Empty, Empty),
} as const

export type DownloadClient = Client<typeof downloadService>

/** Open the channel with `unavailable: 'daemon.unavailable'`. */
export function downloadClient(channel: Channel): DownloadClient {
  return clientOf(downloadService, channel)
}

import type { Channel } from './grpc/channel.ts'
import { type Client, clientOf } from './grpc/client.ts'
import { bidi, unary } from './grpc/method.ts'
import {
  AnnounceHostRequest,
  AnnouncePeerResponse,
  DeleteHostRequest,
  DeletePeerRequest,
  Empty,
  ListHostsRequest,
  ListHostsResponse,
  Peer,
  SchedulerDeleteTaskRequest,
  SchedulerStatTaskRequest,
  StatPeerRequest,
  Task,
} from './messages.ts'
import { announcedPeer } from './piece-report.ts'
import { checkAnnounceHost, checkAnnouncePeer, checkAnnouncePeerResponse, checkIds } from './validate.ts'

const NAME = '/scheduler.v2.Scheduler'
const MiB = 2 ** 20

/** What hosts say to the scheduler. */
export const schedulerService = {
  announcePeer: bidi(`${NAME}/AnnouncePeer`, announcedPeer, AnnouncePeerResponse, {
    check: checkAnnouncePeer,
    checkResponse: checkAnnouncePeerResponse,
    maxRequestBytes: MiB,
    notFound: 'host.unknown',
  }),
  announceHost: unary(`${NAME}/AnnounceHost`, AnnounceHostRequest, Empty, {
    check: checkAnnounceHost,
    maxRequestBytes: 64 * 1024,
  }),
  statPeer: unary(`${NAME}/StatPeer`, StatPeerRequest, Peer, { check: checkIds }),
  deletePeer: unary(`${NAME}/DeletePeer`, DeletePeerRequest, Empty, { check: checkIds }),
  statTask: unary(`${NAME}/StatTask`, SchedulerStatTaskRequest, Task, { check: checkIds }),
  deleteTask: unary(`${NAME}/DeleteTask`, SchedulerDeleteTaskRequest, Empty, { check: checkIds }),
  listHosts: unary(`${NAME}/ListHosts`, ListHostsRequest, ListHostsResponse, { maxResponseBytes: 64 * MiB }),
  deleteHost: unary(`${NAME}/DeleteHost`, DeleteHostRequest, Empty, { check: checkIds, notFound: 'host.unknown' }),
} as const

export type SchedulerClient = Client<typeof schedulerService>

/** Open the channel with `unavailable: 'scheduler.unavailable'`. */
export function schedulerClient(channel: Channel): SchedulerClient {
  return clientOf(schedulerService, channel)
}

import { type Channel, DownloadTaskRequest, openChannel, uploadClient } from '#api'
import type { SeedClient } from './wake-seeds.ts'

/** Calls a seed's DfdaemonUpload/DownloadTask and drinks up what it tells: one connection per seed address. */
export function grpcSeedClient(): SeedClient & AsyncDisposable {
  const channels = new Map<string, { channel: Channel; calls: number }>()

  return {
    async download(host, download, signal) {
      const target = host.ip.includes(':') ? `[${host.ip}]:${host.port}` : `${host.ip}:${host.port}`
      const held = channels.get(target) ?? {
        channel: openChannel(target, { unavailable: 'peer.unreachable' }),
        calls: 0,
      }
      channels.set(target, held)
      held.calls++
      try {
        const request = DownloadTaskRequest.fromPartial({})
        const answers = uploadClient(held.channel).downloadTask({ ...request, download }, { signal })
        while (!(await answers.next()).done);
      } finally {
        held.calls--
        if (held.calls === 0) {
          channels.delete(target)
          void held.channel[Symbol.asyncDispose]()
        }
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...channels.values()].map(({ channel }) => channel[Symbol.asyncDispose]()))
    },
  }
}

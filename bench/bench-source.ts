import { get } from 'node:http'
import type { DragonflyPluginInit as Init, SourceRequest, SourceResponse } from 'dragonfly-ts/source'

/** Reads `bench://host:port/path` over plain http, as a plugin's author would write it: a stream of Node's. */
function download({ url, range, signal }: SourceRequest): Promise<SourceResponse> {
  const headers = range === undefined ? {} : { range: `bytes=${range.start}-${range.end}` }
  return new Promise((resolve, reject) => {
    const request = get(url.replace(/^bench:/, 'http:'), { headers, signal }, (message) => {
      const contentLength = Number(message.headers['content-length'] ?? -1)
      resolve({ body: message, status: message.statusCode ?? 0, contentLength })
    })
    request.once('error', reject)
  })
}

/** The source that the benchmark of isolation reads from: in this process, and as a plugin in one of its own. */
export const DragonflyPluginInit: Init = () => ({
  client: {
    download,
    // One that costs nothing by itself: what a call takes is the way there and back.
    getContentLength: async () => -2,
    isSupportRange: async () => true,
  },
  metadata: { type: 'resource', name: 'bench', scheme: 'bench' },
})

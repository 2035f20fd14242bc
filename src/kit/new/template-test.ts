/** index.test.mjs of a new project; SCHEME stands for the scheme. */
export const PLUGIN_TEST = String.raw`
// What every plugin must do, asked of the built file: the one that hosts will load. Run by npm test.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { testSource } from 'dragonfly-ts/source/testing'
import { DragonflyPluginInit } from './dist/d7y-resource-plugin-SCHEME.mjs'

testSource('SCHEME', async () => {
  const { client } = await DragonflyPluginInit({})
  const origin = await startOrigin({ '/dir/file': 'hello world', '/dir/': '[{ "name": "file", "type": "file" }]' })
  return {
    client,
    url: origin.url + '/dir/file',
    content: Buffer.from('hello world'),
    missingUrl: origin.url + '/dir/missing',
    ranges: true,
    change: async () => origin.put('/dir/file', 'hello again'),
    listing: { url: origin.url + '/dir/', names: ['file'] },
    close: () => origin.close(),
  }
})

/** A small origin on this machine. What your plugin really talks to belongs in its place. */
async function startOrigin(files) {
  const server = createServer((request, response) => {
    const file = files[request.url]
    if (file === undefined) return response.writeHead(404).end()
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const content = Buffer.from(file)
    const body = start === undefined ? content : content.subarray(Number(start), Number(end) + 1)
    response.writeHead(start === undefined ? 200 : 206, {
      'accept-ranges': 'bytes',
      'content-length': body.length,
      'last-modified': 'Sun, 06 Nov 1994 08:49:37 GMT',
      etag: JSON.stringify(file),
    })
    response.end(request.method === 'HEAD' ? undefined : body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: 'SCHEME://127.0.0.1:' + server.address().port,
    put: (path, text) => void (files[path] = text),
    async close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
`

// A BitTorrent tracker over HTTP for one torrent: node tracker.mjs ADDRESS PORT. Says on stdout who came.
import { createServer } from 'node:http'

const [address = '127.0.0.1', port = '6969'] = process.argv.slice(2)
/** Seconds until a client asks again: soon, so that nobody misses the others for long. */
const INTERVAL = 5
/** By ip:port; in the compact form, 4 bytes of address and 2 of port. */
const peers = new Map()

const server = createServer((request, response) => {
  const { searchParams } = new URL(request.url ?? '/', 'http://tracker')
  const ip = (request.socket.remoteAddress ?? '').replace('::ffff:', '')
  const peerPort = Number(searchParams.get('port'))
  const key = `${ip}:${peerPort}`
  if (searchParams.get('event') === 'stopped') peers.delete(key)
  else {
    if (!peers.has(key)) console.log(key)
    peers.set(key, Buffer.from([...ip.split('.').map(Number), peerPort >> 8, peerPort & 255]))
  }
  const others = Buffer.concat([...peers].filter(([each]) => each !== key).map(([, compact]) => compact))
  const head = `d8:intervali${INTERVAL}e12:min intervali${INTERVAL}e5:peers${others.length}:`
  response.end(Buffer.concat([Buffer.from(head), others, Buffer.from('e')]))
})
server.listen(Number(port), address, () => console.log('ready'))

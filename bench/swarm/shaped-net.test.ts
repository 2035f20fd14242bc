import { expect, test } from 'vitest'
import { processesNaming, run, spawnNode, until } from '#devnet'
import { ShapedNet, whyNoShapedNet } from './shaped-net.ts'

const missing = await whyNoShapedNet()
const SERVER =
  "require('http').createServer((q, s) => s.end(Buffer.alloc(300000))).listen(8080, () => console.log('up'))"

test.skipIf(missing !== undefined)('hosts reach one another over links that count what they carry', async () => {
  await using net = await ShapedNet.create({ hosts: 3, bitsPerSecond: 1e9, congestion: 'cubic' })
  const [seed, peer, idle] = net.hosts
  if (seed === undefined || peer === undefined || idle === undefined) throw new Error('hosts are missing')
  const readyWhen = ({ stdout }: { stdout: string }): boolean => stdout.includes('up')
  await using server = await spawnNode({ args: ['-e', SERVER], within: seed.within, readyWhen })
  const before = net.linkBytes()
  const got = await run('curl', ['-s', `http://${seed.address}:8080/`], { within: peer.within })
  expect([server.running, got.stdoutBytes.length]).toEqual([true, 300_000])
  const [sent, received, nothing] = net.linkBytes().map((now, index) => ({
    sent: now.sent - (before[index]?.sent ?? 0),
    received: now.received - (before[index]?.received ?? 0),
  }))
  expect(sent?.sent).toBeGreaterThan(300_000)
  expect(received?.received).toBeGreaterThan(300_000)
  expect(nothing?.received).toBeLessThan(10_000)
  expect((await run('curl', ['-s', `http://${seed.address}:8080/`], { within: net.hub.within })).code).toBe(0)
})

test.skipIf(missing !== undefined)('with the net everything in it goes, also what nobody ended', async () => {
  const mark = `left-behind-${process.pid}`
  {
    await using net = await ShapedNet.create({ hosts: 1, bitsPerSecond: 1e9, congestion: 'cubic' })
    const script = `setInterval(() => {}, 1000) // ${mark}`
    await spawnNode({ args: ['-e', script], within: net.hosts[0]?.within })
    await until(() => processesNaming(mark).length === 1)
  }
  expect(processesNaming(mark)).toEqual([])
  expect((await run('ip', ['netns', 'list'])).stdout).not.toContain(`dfb${process.pid}-`)
})

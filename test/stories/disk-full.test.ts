import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { devnet, startNginx, tempDir } from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, smallDisk, STORY } from './story.ts'

const content = { size: 40 * MiB, seed: 'disk' }
const SMALL = 16 * MiB

test('the storage is full: the error says so, no file appears, and the daemon lives on', STORY, async (context) => {
  await using dir = await tempDir('disk')
  await using disk = await smallDisk(dir.join('small'), SMALL)
  if (disk === undefined) return context.skip('may not mount a small disk here')
  await using nginx = await startNginx({ files: { big: content, little: { size: 2 * MiB, seed: 2 } } })
  await using net = await devnet({ peers: 1, peerSettings: { storage: { dir: dir.join('small') } } })
  const [peer] = net.peers
  const ran = await peer!.dfget([nginx.url('big'), '-O', dir.join('out', 'f')])
  expect(ran.code, ran.stdout).toBe(7)
  expect(ran.stderr).toMatch(/full|space/i)
  expect(ran.stderr).toMatch(/Free some space/)
  await expectOnly(dir.join('out'), [])

  expect(peer!.running).toBe(true)
  expectSuccess(await peer!.dfget([nginx.url('little'), '-O', dir.join('out', 'g')]))
  await expectFile(dir.join('out', 'g'), { size: 2 * MiB, seed: 2 })
})

test('a full seed is no end: its child reads the origin', STORY, async (context) => {
  await using dir = await tempDir('disk')
  await using disk = await smallDisk(dir.join('small'), SMALL)
  if (disk === undefined) return context.skip('may not mount a small disk here')
  await using nginx = await startNginx({ files: { big: content } })
  await using net = await devnet({ peers: 1, seeds: 1, seedSettings: { storage: { dir: dir.join('small') } } })
  expectSuccess(await net.peers[0]!.dfget([nginx.url('big'), '-O', dir.join('out')]))
  await expectFile(dir.join('out'), content)
})

for (const pattern of ['p2p', 'source']) {
  test(
    `the disk of the output is full with -p ${pattern}: no short file, and the next try goes well`,
    STORY,
    async (context) => {
      await using dir = await tempDir('disk')
      await using disk = await smallDisk(dir.join('small'), SMALL)
      if (disk === undefined) return context.skip('may not mount a small disk here')
      await using nginx = await startNginx({ files: { big: content, little: { size: 12 * MiB, seed: 2 } } })
      await using net = await devnet({ peers: 1 })
      const output = join(dir.path, 'small', 'f')
      await writeFile(output, 'the old one')
      const ran = await net.peers[0]!.dfget([nginx.url('big'), '-O', output, '-p', pattern])
      expect([ran.code, ran.stderr]).toEqual([7, expect.stringMatching(/space/)])
      await expectFile(output, Buffer.from('the old one'))
      if (pattern === 'p2p') await expectOnly(dir.join('small'), ['f'])
      await rm(dir.join('small'), { recursive: true, force: true }).catch(() => undefined)
      expectSuccess(await net.peers[0]!.dfget([nginx.url('little'), '-O', output, '-p', pattern]))
      await expectFile(output, { size: 12 * MiB, seed: 2 })
      await expectOnly(dir.join('small'), ['f'])
    },
  )
}

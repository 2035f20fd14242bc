import { readdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { downloadClient, openChannel } from '#api'
import { devnet, tempDir } from '#devnet'
import { STORY } from './story.ts'

test('nobody can make a daemon or a seed read a file of its host', STORY, async () => {
  await using dir = await tempDir('local')
  await writeFile(dir.join('secret'), 'of this host alone')
  await using net = await devnet({ peers: 1, seeds: 1 })
  for (const member of [net.peers[0]!, net.seeds[0]!]) {
    for (const target of [`unix:${member.ready.socket}`, `127.0.0.1:${member.ready.uploadPort}`]) {
      for (const url of [
        `file://${dir.join('secret')}`,
        `FILE://${dir.join('secret')}`,
        `file://localhost${dir.join('secret')}`,
      ]) {
        await expect(ask(target, url, dir.join('out')), `${url} at ${target}`).rejects.toThrow()
      }
    }
  }
  expect(await readdir(dir.path)).toEqual(['secret'])
})

async function ask(target: string, url: string, outputPath: string): Promise<void> {
  await using channel = openChannel(target)
  const signal = AbortSignal.timeout(20_000)
  for await (const _message of downloadClient(channel).downloadTask({ download: { url, outputPath } }, { signal })) {
    // An answer that ends well would be the failure of this test.
  }
}

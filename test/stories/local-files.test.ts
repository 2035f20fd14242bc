import { readdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { type Channel, Download, downloadClient, openChannel, uploadClient } from '#api'
import { devnet, tempDir } from '#devnet'
import { STORY } from './story.ts'

test('nobody can make a daemon or a seed read a file of its host', STORY, async () => {
  await using dir = await tempDir('local')
  await writeFile(dir.join('secret'), 'of this host alone')
  await using net = await devnet({ peers: 1, seeds: 1 })
  const forms = ['file://', 'FILE://', 'file://localhost', 'file:']
  for (const member of [...net.peers, ...net.seeds]) {
    for (const url of forms.map((form) => form + dir.join('secret'))) {
      await expect(ask(`unix:${member.ready.socket}`, downloadClient, url, dir.join('out')), url).rejects.toThrow()
      await expect(
        ask(`127.0.0.1:${member.ready.uploadPort}`, uploadClient, url, dir.join('out')),
        url,
      ).rejects.toThrow()
    }
  }
  expect(await readdir(dir.path)).toEqual(['secret'])
})

async function ask(
  target: string,
  clientOf: typeof downloadClient | typeof uploadClient,
  url: string,
  outputPath: string,
): Promise<void> {
  await using channel: Channel = openChannel(target)
  const signal = AbortSignal.timeout(20_000)
  const request = { download: Download.fromPartial({ url, outputPath }) }
  for await (const _message of clientOf(channel).downloadTask(request, { signal })) {
    // An answer that ends well would be the failure of this test.
  }
}

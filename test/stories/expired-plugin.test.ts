import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { devnet, tempDir } from '#devnet'
import { expectSuccess, STORY } from './story.ts'

test(
  'a plugin that tells its version with download alone is asked isExpired, and a change is seen',
  STORY,
  async () => {
    await using dir = await tempDir('par')
    await mkdir(dir.join('plugins'))
    const state = dir.join('plugins/state.json')
    await writeFile(
      dir.join('plugins/d7y-resource-plugin-store.mjs'),
      `import { readFileSync } from 'node:fs'
    const state = () => JSON.parse(readFileSync(${JSON.stringify(state)}, 'utf8'))
    export const DragonflyPluginInit = () => ({
      client: {
        async getContentLength() { return state().content.length },
        async isExpired(request, info) { return info.etag !== state().etag },
        async download() { return { body: Buffer.from(state().content), expireInfo: { etag: state().etag } } },
      },
      metadata: { type: 'resource', name: 'store', scheme: 'store' },
    })`,
    )
    const peerSettings = { pluginPolicy: { grants: { store: { files: [state] } } } }
    await using net = await devnet({ peers: 1, pluginDirs: { peers: [dir.join('plugins')] }, peerSettings })
    for (const content of ['first', 'other']) {
      await writeFile(state, JSON.stringify({ content, etag: `"${content}"` }))
      expectSuccess(await net.peers[0]!.dfget(['store://host/f', '-O', dir.join('f')]))
      expect(await readFile(dir.join('f'), 'utf8')).toBe(content)
    }
  },
)

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { sha256Of, startOrigin } from '#devnet'
import { sourceSettings } from '#source'
import { downloadFile } from './download-file.ts'

const { signal } = new AbortController()
const settings = resolveSettings(sourceSettings, [{ retry: { firstDelay: '1ms', maxDelay: '1ms' } }])
const options = { settings, signal, warn: () => undefined, mostBytes: 1_000_000 }

test('every byte comes, as long as it is a plugin', async () => {
  for (const size of [0, 1, 65_536, 65_537, 1_000_000]) {
    const content = { size, seed: 'download' }
    await using origin = await startOrigin({ content })
    const bytes = await downloadFile(origin.url(), options)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256Of(content))
  }
})

test('what is larger than a plugin can be is refused, whether its length is told before or not', async () => {
  const content = { size: 1_000_001, seed: 'download' }
  for (const faults of [{}, { noLength: true }]) {
    await using origin = await startOrigin({ content, faults })
    await expect(downloadFile(origin.url(), options)).rejects.toMatchObject({
      code: 'plugin.broken',
      message: expect.stringContaining('that is no plugin'),
    })
  }
})

test('what is not there is source.not_found', async () => {
  await using origin = await startOrigin()
  await expect(downloadFile(origin.url('none'), options)).rejects.toMatchObject({ code: 'source.not_found' })
})

import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checkPin, sha256Of } from './pins.ts'

const HASH = 'ab'.repeat(32)

test('the SHA-256 of a file is told in hex', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'dragonfly-pins-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 'f'), 'text')
  expect(await sha256Of(join(dir, 'f'))).toBe(createHash('sha256').update('text').digest('hex'))
})

test('a file that cannot be read is refused, which is looked at again, and not broken', async () => {
  await expect(sha256Of(tmpdir())).rejects.toMatchObject({
    code: 'plugin.refused',
    message: expect.stringMatching(/^it cannot be read: EISDIR/),
  })
})

test('a scheme that is not pinned may be any file; a pin may be written in any of its usual ways', () => {
  for (const pins of [{}, { other: HASH }, { store: HASH }, { store: HASH.toUpperCase() }, { store: `sha256:${HASH}` }])
    expect(() => checkPin('store', HASH, pins)).not.toThrow()
  expect(() => checkPin('constructor', HASH, {})).not.toThrow()
})

test('another file is refused, with both hashes; a pin counts in capitals too', () => {
  for (const pins of [{ store: 'cd'.repeat(32) }, { STORE: 'cd'.repeat(32) }])
    expect(() => checkPin('store', HASH, pins)).toThrow(
      expect.objectContaining({
        code: 'plugin.refused',
        message: expect.stringMatching(new RegExp(`${HASH}.*pluginPolicy\\.pins\\.store.*${'cd'.repeat(32)}`)),
      }),
    )
})

test.each([[''], [null], [7], ['abc'], [`${HASH}0`], [[HASH]], [`md5:${HASH}`]])(
  'a pin that is none (%j) is told, and lets nothing through',
  (pin) => {
    expect(() => checkPin('store', HASH, { store: pin })).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        message: expect.stringMatching(/^pluginPolicy\.pins\.store: /),
      }),
    )
  },
)

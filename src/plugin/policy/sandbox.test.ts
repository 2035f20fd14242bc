import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { foundAt, openPlugin } from '../index.ts'
import { bodyText, dirWith, pluginText, policyOf } from '../test-host.ts'

const NAME = 'd7y-resource-plugin-reader.mjs'
const READER = pluginText('reader', {
  before: "import { readFileSync, writeFileSync } from 'node:fs'",
  client: `{ async download({ url }) {
    const { hostname, pathname } = new URL(url)
    if (hostname === 'write') writeFileSync(pathname, 'written')
    return { body: readFileSync(pathname) }
  } }`,
})

/** What a plugin that reads the path of its URL gives, or fails with. */
async function read(dir: string, path: string, grant: object, host = 'read'): Promise<string> {
  const policy = policyOf({ grants: { reader: grant } })
  const plugin = await openPlugin(await foundAt(join(dir, NAME)), { options: {}, policy, warn: () => undefined })
  onTestFinished(() => plugin[Symbol.asyncDispose]())
  const request = { url: `reader://${host}${path}`, headers: {}, signal: AbortSignal.timeout(10_000) }
  return bodyText(plugin.client, request).catch((error: unknown) => String(error))
}

test('a plugin reads its own file and what it was granted, and nothing else', async () => {
  const dir = await dirWith({ [NAME]: READER })
  const data = await dirWith({ 'a.txt': 'a', 'below/b.txt': 'b' })
  expect(await read(dir, join(dir, NAME), {})).toBe(READER)
  expect(await read(dir, join(data, 'a.txt'), {})).toContain(join(data, 'a.txt'))
  expect(await read(dir, join(data, 'a.txt'), {})).toMatch(/files=/)
  expect(await read(dir, join(data, 'a.txt'), { files: [join(data, 'a.txt')] })).toBe('a')
  expect(await read(dir, join(data, 'below/b.txt'), { files: [join(data, 'a.txt')] })).toMatch(/files=/)
  expect(await read(dir, join(data, 'below/b.txt'), { files: [data] })).toBe('b')
})

// Node 20 aborts over a path that is named twice, or below another one.
test('grants may name a path twice, lie within one another, hold the plugin itself, or be all there is', async () => {
  const dir = await dirWith({ [NAME]: READER, 'data/a.txt': 'a' })
  const file = join(dir, 'data/a.txt')
  for (const files of [
    [dir],
    [`${dir}/`],
    [file, file],
    [join(dir, 'data'), file],
    [file, join(dir, 'data'), dir],
    [join(dir, 'data/*'), join(dir, 'data')],
    ['/'],
  ])
    expect(await read(dir, file, { files }), files.join()).toBe('a')
})

test('a directory that is made after the plugin was started counts as granted with what is in it', async () => {
  const dir = await dirWith({ [NAME]: READER })
  const late = join(await dirWith(), 'late')
  const policy = policyOf({ grants: { reader: { files: [late] } } })
  await using plugin = await openPlugin(await foundAt(join(dir, NAME)), { options: {}, policy, warn: () => undefined })
  await mkdir(late)
  await writeFile(join(late, 'f'), 'late')
  const request = { url: `reader://read${late}/f`, headers: {}, signal: AbortSignal.timeout(10_000) }
  expect(await bodyText(plugin.client, request)).toBe('late')
})

test('writing needs a grant of its own', async () => {
  const dir = await dirWith({ [NAME]: READER })
  const data = await dirWith()
  const file = join(data, 'new')
  expect(await read(dir, file, { files: [data] }, 'write')).toMatch(/writes=/)
  expect(await read(dir, file, { files: [data], writes: [data] }, 'write')).toBe('written')
})

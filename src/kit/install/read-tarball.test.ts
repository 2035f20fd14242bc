import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type TempDir, tempDir } from '#devnet'
import { readTarball } from './read-tarball.ts'

let dir: TempDir
beforeEach(async () => {
  dir = await tempDir('tar')
})
afterEach(() => dir[Symbol.asyncDispose]())

async function put(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(dir.join(path)), { recursive: true })
  await writeFile(dir.join(path), content)
}

/** What `tar` makes of the folder `package`, in one of the forms it knows. */
function packed(format = 'ustar'): string {
  const ran = spawnSync('tar', [`--format=${format}`, '-czf', 'p.tgz', 'package'], { cwd: dir.path, encoding: 'utf8' })
  expect(ran.stderr).toBe('')
  return dir.join('p.tgz')
}

const LONG = `package/${'long-folder-name/'.repeat(12)}ünï-${'x'.repeat(80)}.mjs`

test.each(['ustar', 'pax', 'gnu', 'oldgnu', 'v7'])('reads what tar writes in the form %s', async (format) => {
  const files = { 'package/empty': '', 'package/a.mjs': 'a', 'package/dist/b.mjs': 'b'.repeat(100_000) }
  for (const [path, content] of Object.entries(files)) await put(path, content)
  const long = format === 'pax' || format.endsWith('gnu')
  if (long) await put(LONG, 'long')
  await symlink('/etc/passwd', dir.join('package/link.mjs'))
  const read = await readTarball(packed(format), (path) => path !== 'package/empty')
  const found = Object.fromEntries(read.map(({ path, content }) => [path, content.toString()]))
  const { 'package/empty': _, ...expected } = files
  expect(found).toEqual({ ...expected, ...(long ? { [LONG]: 'long' } : {}) })
})

test('reads what npm pack writes', async () => {
  await put('p/package.json', JSON.stringify({ name: 'p', version: '1.0.0' }))
  await put('p/dist/d7y-resource-plugin-x.mjs', 'hello')
  const ran = spawnSync('npm', ['pack', '--offline'], { cwd: dir.join('p'), encoding: 'utf8' })
  expect(ran.status, ran.stderr).toBe(0)
  const [file] = await readTarball(dir.join('p/p-1.0.0.tgz'), (path) => path.endsWith('.mjs'))
  expect(file).toEqual({ path: 'package/dist/d7y-resource-plugin-x.mjs', content: Buffer.from('hello') })
})

test('what is no archive, or half of one, or too large, is refused with a reason', async () => {
  await put('package/a.mjs', Buffer.alloc(100_000, 'a'))
  const whole = packed()
  const half = join(dir.path, 'half.tgz')
  const text = join(dir.path, 'text.tgz')
  const plain = join(dir.path, 'plain.tgz')
  await writeFile(half, gzipSync(gunzipSync(readFileSync(whole)).subarray(0, 4096)))
  await writeFile(text, 'a text')
  await writeFile(plain, gzipSync('x'.repeat(2000)))
  const all = (): boolean => true
  const none = (): boolean => false
  await expect(readTarball(half, all)).rejects.toThrow('it breaks off in the middle')
  await expect(readTarball(half, none)).rejects.toThrow('it breaks off in the middle')
  await expect(readTarball(text, all)).rejects.toThrow('the package cannot be read: incorrect header check')
  await expect(readTarball(plain, all)).rejects.toThrow('it is no tar archive')
  const limits = { unpackedBytes: 1e6, wantedBytes: 99_999 }
  await expect(readTarball(whole, all, limits)).rejects.toThrow('its plugins are larger than')
  await expect(readTarball(whole, none, { ...limits, unpackedBytes: 50_000 })).rejects.toThrow(
    'it unpacks to more than',
  )
  expect(await readTarball(whole, none, limits)).toEqual([])
})

// A size that lies must not make us hold, or wait for, what is not there.
test('whatever is changed in an archive, it is read or refused, and nothing else happens', async () => {
  await put('package/a.mjs', 'a'.repeat(700))
  await put(LONG, 'long')
  const bytes = gunzipSync(readFileSync(packed('pax')))
  const changed = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(changed, fc.nat(bytes.length), async (changes, end) => {
      const copy = Buffer.from(bytes)
      for (const [at, value] of changes) copy[at] = value
      await writeFile(dir.join('c.tgz'), gzipSync(copy.subarray(0, end), { level: 1 }))
      try {
        const files = await readTarball(dir.join('c.tgz'), () => true)
        expect(files.reduce((sum, { content }) => sum + content.length, 0)).toBeLessThanOrEqual(bytes.length)
      } catch (error) {
        expect(error).toMatchObject({ code: 'plugin.broken' })
      }
    }),
    { numRuns: 300 },
  )
})

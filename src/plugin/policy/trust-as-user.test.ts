import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

const USER = 12_345
const STRANGER = 12_346
const NAME = 'd7y-resource-plugin-store'

/** The check as another user makes it; only root can become one. */
describe.runIf(process.getuid?.() === 0)('for a user who is not root', () => {
  let top = ''
  let bundle = ''
  beforeAll(async () => {
    top = await mkdtemp(join(tmpdir(), 'dragonfly-trust-user-'))
    await chmod(top, 0o755)
    bundle = join(top, 'trust.mjs')
    const contents = `export { checkTrust } from './trust.ts'
      export { locateEntry } from '../entry.ts'
      export { foundAt } from '../find.ts'`
    const stdin = { contents, resolveDir: import.meta.dirname, loader: 'ts' } as const
    await build({ stdin, bundle: true, platform: 'node', format: 'esm', target: 'node20', outfile: bundle })
  })
  afterAll(() => rm(top, { recursive: true }))

  let folder = ''
  beforeEach(async () => {
    folder = join(await mkdtemp(join(top, 'plugins-')), NAME)
    await chmod(join(folder, '..'), 0o755)
    await mkdir(join(folder, 'lib'), { recursive: true })
    await writeFile(join(folder, 'package.json'), '{ "main": "main.js" }')
    await writeFile(join(folder, 'main.js'), '')
    await writeFile(join(folder, 'lib', 'other.js'), '')
  })

  async function verdict(): Promise<string> {
    const script = `const { checkTrust, locateEntry, foundAt } = await import(${JSON.stringify(bundle)})
      const found = await foundAt(${JSON.stringify(folder)})
      console.log(await checkTrust(found, await locateEntry(found)).then(() => 'trusted', ({ code, message }) => code + ': ' + message))`
    const asUser = { uid: USER, gid: USER, cwd: '/' }
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], asUser)
    return stdout.trim()
  }

  test("root's files are trusted, and the user's own, and nobody else's", async () => {
    expect(await verdict()).toBe('trusted')
    for (const name of ['main.js', 'package.json', 'lib/other.js', 'lib', '.', '..']) {
      const place = join(folder, name)
      await chown(place, USER, USER)
      expect(await verdict()).toBe('trusted')
      await chown(place, STRANGER, STRANGER)
      expect(await verdict()).toContain(`plugin.refused: ${place} belongs to user ${STRANGER}`)
      expect(await verdict()).toContain(`chown ${USER} ${place}`)
      await chown(place, USER, USER)
    }
  })

  test('every file of a folder counts, for any of them may be loaded', async () => {
    for (const name of ['main.js', 'package.json', 'lib/other.js', 'lib', '.', '..']) {
      const place = join(folder, name)
      await chmod(place, 0o777)
      expect(await verdict()).toContain(`plugin.refused: ${place} is writable by everybody`)
      await chmod(place, 0o755)
    }
    expect(await verdict()).toBe('trusted')
  })

  test('a file that cannot be looked at makes a broken plugin', async () => {
    await chmod(join(folder, 'lib'), 0o700)
    expect(await verdict()).toMatch(/^plugin\.broken: it cannot be looked at: EACCES/)
  })
})

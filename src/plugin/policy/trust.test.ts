import { chmod, chown, lchown, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Failure } from '#core'
import { locateEntry } from '../entry.ts'
import { foundAt } from '../find.ts'
import { checkTrust } from './trust.ts'

const NAME = 'd7y-resource-plugin-store'
const isRoot = process.geteuid?.() === 0
const SOMEBODY = 12_345

async function place(): Promise<string> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'dragonfly-trust-')))
  onTestFinished(() => rm(dir, { recursive: true }))
  await mkdir(join(dir, 'home/plugins'), { recursive: true, mode: 0o755 })
  await writeFile(join(dir, `home/plugins/${NAME}.mjs`), 'export {}', { mode: 0o644 })
  return dir
}

/** What is said of a plugin: `trusted`, or the reason. */
async function verdictOn(path: string): Promise<string> {
  const found = await foundAt(path)
  try {
    await checkTrust(found, await locateEntry(found))
    return 'trusted'
  } catch (error) {
    if (error instanceof Failure && error.code === 'plugin.refused') return error.message
    throw error
  }
}

test('a plugin of the user, in directories of the user, is trusted', async () => {
  const dir = await place()
  expect(await verdictOn(join(dir, `home/plugins/${NAME}.mjs`))).toBe('trusted')
})

test.each([
  ['home/plugins', 0o777, 'o-w'],
  ['home', 0o757, 'o-w'],
  [`home/plugins/${NAME}.mjs`, 0o666, 'o-w'],
])(
  'a plugin is refused with the line that mends it when everybody may write to %s (%s)',
  async (name, mode, change) => {
    const dir = await place()
    await chmod(join(dir, name), mode)
    expect(await verdictOn(join(dir, `home/plugins/${NAME}.mjs`))).toBe(
      `${dir}/${name} is writable by everybody, who could put another plugin there; close it: chmod ${change} ${dir}/${name}`,
    )
  },
)

test('a directory that is meant for everybody is none for plugins, and is not to be closed', async () => {
  const dir = await place()
  await chmod(join(dir, 'home/plugins'), 0o1777)
  expect(await verdictOn(join(dir, `home/plugins/${NAME}.mjs`))).toBe(
    `${dir}/home/plugins is writable by everybody, who could put another plugin there; use a directory of your own`,
  )
})

test('a directory above in which nobody can take away what is not theirs does no harm', async () => {
  const dir = await place()
  await chmod(join(dir, 'home'), 0o1777)
  expect(await verdictOn(join(dir, `home/plugins/${NAME}.mjs`))).toBe('trusted')
})

test.skipIf(!isRoot)('a group may write where it is the private one of the owner, and no other group', async () => {
  const dir = await place()
  const file = join(dir, `home/plugins/${NAME}.mjs`)
  await chmod(file, 0o664)
  expect(await verdictOn(file)).toBe('trusted')
  await chown(file, 0, SOMEBODY)
  expect(await verdictOn(file)).toMatch(
    `writable by group ${SOMEBODY}, who could put another plugin there; close it: chmod g-w `,
  )
})

test.skipIf(!isRoot)('what belongs to somebody else is refused, wherever it is on the way', async () => {
  for (const name of [`home/plugins/${NAME}.mjs`, 'home/plugins', 'home']) {
    const dir = await place()
    await chown(join(dir, name), SOMEBODY, SOMEBODY)
    expect(await verdictOn(join(dir, `home/plugins/${NAME}.mjs`))).toBe(
      `${dir}/${name} belongs to user ${SOMEBODY}, who could put another plugin there; make it yours or root's: chown 0 ${dir}/${name}`,
    )
  }
})

test.skipIf(!isRoot)(
  'the links to a plugin, and where they lie, are as much looked at as where they lead',
  async () => {
    const dir = await place()
    await mkdir(join(dir, 'real'))
    await writeFile(join(dir, 'real/store.mjs'), 'export {}')
    await mkdir(join(dir, 'between'))
    await symlink('../real/store.mjs', join(dir, 'between/link'))
    await mkdir(join(dir, 'linked'))
    await symlink(join(dir, 'between/../between/link'), join(dir, `linked/${NAME}.mjs`))
    const path = join(dir, `linked/${NAME}.mjs`)
    expect(await verdictOn(path)).toBe('trusted')

    await chmod(join(dir, 'between'), 0o777)
    expect(await verdictOn(path)).toContain(`${dir}/between is writable by everybody`)
    await chmod(join(dir, 'between'), 0o1777)
    expect(await verdictOn(path)).toBe('trusted')
    await lchown(join(dir, 'between/link'), SOMEBODY, SOMEBODY)
    expect(await verdictOn(path)).toContain(`${dir}/between/link belongs to user ${SOMEBODY}`)
    await lchown(join(dir, 'between/link'), 0, 0)
    await chmod(join(dir, 'real/store.mjs'), 0o666)
    expect(await verdictOn(path)).toContain(`${dir}/real/store.mjs is writable by everybody`)
  },
)

test('a plugin directory that is a link is looked at where it leads', async () => {
  const dir = await place()
  await symlink('home/plugins', join(dir, 'link'))
  expect(await verdictOn(join(dir, `link/${NAME}.mjs`))).toBe('trusted')
  await chmod(join(dir, 'home/plugins'), 0o1777)
  expect(await verdictOn(join(dir, `link/${NAME}.mjs`))).toContain(`${dir}/home/plugins is writable by everybody`)
})

test('of a folder everything in it counts', async () => {
  const dir = await place()
  const folder = join(dir, 'home/plugins', NAME)
  await mkdir(join(folder, 'dist/inner'), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{ "main": "dist/inner/main.mjs" }')
  await writeFile(join(folder, 'dist/inner/main.mjs'), 'export {}')
  await mkdir(join(folder, 'node_modules/.bin'), { recursive: true })
  await writeFile(join(folder, 'node_modules/other.js'), '')
  for (let at = 0; at < 60; at++) await symlink('../other.js', join(folder, `node_modules/.bin/${at}`))
  await symlink('nowhere', join(folder, 'node_modules/.bin/dangling'))
  expect(await verdictOn(folder)).toBe('trusted')
  for (const [name, mode, before] of [
    ['', 0o777, 0o755],
    ['', 0o1777, 0o755],
    ['/package.json', 0o666, 0o644],
    ['/dist', 0o1777, 0o755],
    ['/dist/inner/main.mjs', 0o666, 0o644],
    ['/node_modules/other.js', 0o666, 0o644],
    ['/node_modules', 0o777, 0o755],
  ] as const) {
    await chmod(folder + name, mode)
    expect(await verdictOn(folder)).toContain(`${folder}${name} is writable by everybody`)
    await chmod(folder + name, before)
  }
})

test('the line that mends can be pasted, whatever the directory is called', async () => {
  const dir = await place()
  const odd = join(dir, "it's $HOME")
  await mkdir(odd)
  await writeFile(join(odd, `${NAME}.mjs`), '')
  await chmod(odd, 0o777)
  expect(await verdictOn(join(odd, `${NAME}.mjs`))).toContain(String.raw`chmod o-w '${dir}/it'\''s $HOME'`)
})

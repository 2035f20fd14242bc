import { spawnSync } from 'node:child_process'
import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { programsBuilt, type TempDir, tempDir } from '#devnet'
import { pluginPolicySettings, readInstalled } from '#plugin'
import { sourceSettings } from '#source'
import { type InstallDeps, type InstallReport, installPlugin } from './install-plugin.ts'
import { lockRecord } from './lock-record.ts'

const NAME = 'd7y-resource-plugin-store'
let dir: TempDir
beforeAll(programsBuilt) // plugins are run by a program of the build
beforeEach(async () => {
  dir = await tempDir('install')
})
afterEach(() => dir[Symbol.asyncDispose]())

function storeText(vendor: string): string {
  return `export const DragonflyPluginInit = () => ({
  client: { async download() { return { body: new Uint8Array() } } },
  metadata: { type: 'resource', name: 'store', scheme: 'store', vendor: '${vendor}' },
})`
}

async function put(path: string, text: string): Promise<string> {
  await mkdir(dirname(dir.join(path)), { recursive: true })
  await writeFile(dir.join(path), text)
  return dir.join(path)
}

/** A folder that is a plugin; its package.json makes its `.js` an ES module. */
async function putFolder(path: string, vendor: string): Promise<string> {
  await put(`${path}/package.json`, JSON.stringify({ type: 'module', main: 'lib/index.js' }))
  await put(`${path}/lib/index.js`, storeText(vendor))
  return dir.join(path)
}

function install(what: string, changes: Partial<InstallDeps> = {}, force = false): Promise<InstallReport> {
  const deps: InstallDeps = {
    options: {},
    policy: resolveSettings(pluginPolicySettings, []),
    sources: resolveSettings(sourceSettings, []),
    env: process.env,
    dirs: [{ path: dir.join('plugins'), given: true }],
    warn: () => undefined,
    ...changes,
  }
  return installPlugin({ what, dir: dir.join('plugins'), force }, deps, new AbortController().signal)
}

const plugins = async (): Promise<string[]> =>
  (await readdir(dir.join('plugins'))).filter((name) => !name.startsWith('.installed') && name !== '.install.lock')

test('the directory is made where it is missing, and nobody else may write to it or to the plugin', async () => {
  const file = await put(`dist/${NAME}.mjs`, storeText('a'))
  await chmod(file, 0o666)
  const { plugin } = await install(file)
  expect(plugin.path).toBe(dir.join('plugins', `${NAME}.mjs`))
  expect((await stat(dir.join('plugins'))).mode & 0o777).toBe(0o755)
  expect((await stat(plugin.path)).mode & 0o777).toBe(0o644)
  expect(await plugins()).toEqual([`${NAME}.mjs`])
})

test('a folder is installed as a whole, and replaced as a whole', async () => {
  await putFolder(`from/${NAME}`, 'a')
  await put(`from/${NAME}/lib/old.js`, '')
  const first = await install(dir.join('from', NAME))
  await put(`from2/${NAME}/lib/new.js`, '')
  const second = await install(await putFolder(`from2/${NAME}`, 'b'))
  expect(second.replaced).toBe(first.sha256)
  expect(await readdir(dir.join('plugins', NAME, 'lib'))).toEqual(['index.js', 'new.js'])
  expect(await plugins()).toEqual([NAME])
})

test('an unpacked package is looked through for its plugin', async () => {
  await put(`project/dist/${NAME}.mjs`, storeText('a'))
  await put('project/package.json', '{}')
  expect((await install(dir.join('project'))).from).toBe(dir.join('project/dist', `${NAME}.mjs`))
  await put(`project2/lib/out/${NAME}.mjs`, storeText('b'))
  await put('project2/package.json', `{"main":"./lib/out/${NAME}.mjs"}`)
  expect((await install(dir.join('project2'))).from).toBe(dir.join('project2/lib/out', `${NAME}.mjs`))
  await mkdir(dir.join('empty'))
  await expect(install(dir.join('empty'))).rejects.toThrow('holds no plugin')
})

test('out of an archive comes the plugin alone, wherever its paths and links lead', async () => {
  await put(`package/dist/${NAME}.mjs`, storeText('a'))
  await put('package/package.json', '{}')
  await symlink('/etc/passwd', dir.join('package/dist/d7y-resource-plugin-other.mjs'))
  await put('escaped.txt', 'out of it')
  const args = ['-czPf', 'store.tgz', 'package', 'package/../escaped.txt']
  expect(spawnSync('tar', args, { cwd: dir.path }).status).toBe(0)
  const { from } = await install(dir.join('store.tgz'))
  expect(from).toBe(dir.join('store.tgz'))
  expect(await plugins()).toEqual([`${NAME}.mjs`])
  expect((await lstat(dir.join('plugins', `${NAME}.mjs`))).isFile()).toBe(true)
})

test('a plugin of another kind by the same name is in the way, until it is removed or force is given', async () => {
  const file = await put(`dist/${NAME}.mjs`, storeText('file'))
  await install(await putFolder(`from/${NAME}`, 'folder'))
  await expect(install(file)).rejects.toMatchObject({
    code: 'plugin.refused',
    message: expect.stringContaining(`the folder ${dir.join('plugins', NAME)} is a plugin for store already`),
  })
  expect(await plugins()).toEqual([NAME])
  const { notes } = await install(file, {}, true)
  expect(notes).toEqual([`${NAME} was removed: it was of another kind`])
  expect(await plugins()).toEqual([`${NAME}.mjs`])
  expect([...(await readInstalled(dir.join('plugins'))).keys()]).toEqual([`${NAME}.mjs`])
})

test('what was put there by hand is replaced, and a record that somebody spoilt is written anew', async () => {
  await put(`plugins/${NAME}.mjs`, 'by hand')
  await put('plugins/.installed.json', '{"plugins": 7')
  const { replaced, sha256 } = await install(await put(`dist/${NAME}.mjs`, storeText('a')))
  expect(replaced).toMatch(/^[0-9a-f]{64}$/)
  expect((await readInstalled(dir.join('plugins'))).get(`${NAME}.mjs`)).toMatchObject({ sha256 })
})

test('a link in the directory is replaced, and what it leads to stays as it is', async () => {
  const real = await put('work/real.mjs', 'my work')
  await mkdir(dir.join('plugins'))
  await symlink(real, dir.join('plugins', `${NAME}.mjs`))
  await install(await put(`dist/${NAME}.mjs`, storeText('a')))
  expect(await readFile(real, 'utf8')).toBe('my work')
  expect((await lstat(dir.join('plugins', `${NAME}.mjs`))).isFile()).toBe(true)
})

test('what is built in, and what has no name of a plugin, is refused before it is run', async () => {
  const run = dir.join('run')
  const bad = `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(run)}, '')`
  await expect(install(await put('dist/d7y-resource-plugin-http.mjs', bad))).rejects.toThrow('http is built in')
  await expect(install(await put('dist/plugin.mjs', bad))).rejects.toThrow('is no plugin by its name')
  expect(await readdir(dir.path)).not.toContain('run')
  expect(await plugins()).toEqual([])
})

test('a broken one stays out, and leaves the one before it as it was; force puts it there with a note', async () => {
  await install(await put(`dist/${NAME}.mjs`, storeText('good')))
  const broken = await put(`bad/${NAME}.mjs`, 'throw new Error("out of order")')
  await expect(install(broken)).rejects.toMatchObject({
    code: 'plugin.broken',
    message: `${NAME}.mjs was not installed: it cannot be loaded: out of order`,
  })
  expect(await readFile(dir.join('plugins', `${NAME}.mjs`), 'utf8')).toBe(storeText('good'))
  const { notes } = await install(broken, {}, true)
  expect(notes).toEqual(['it cannot be used as it is: it cannot be loaded: out of order'])
})

test('a pin is kept, and a mistake in the policy is not taken for missing options', async () => {
  const file = await put(`dist/${NAME}.mjs`, storeText('a'))
  for (const [more, code] of [
    [{ pins: { store: '0'.repeat(64) } }, 'plugin.refused'],
    [{ grants: { store: 7 } }, 'config.invalid'],
  ] as const) {
    const policy = { ...resolveSettings(pluginPolicySettings, []), ...more }
    await expect(install(file, { policy })).rejects.toMatchObject({ code })
  }
  expect(await plugins()).toEqual([])
})

test('a plugin that comes after another one, or that nobody looks for, is told of', async () => {
  const file = await put(`dist/${NAME}.mjs`, storeText('a'))
  const own = { path: dir.join('plugins'), given: true }
  const before = { path: dirname(await put(`before/${NAME}.mjs`, storeText('b'))), given: true }
  expect((await install(file, { dirs: [before, own] })).notes).toEqual([
    `it is not used: ${dir.join('before', `${NAME}.mjs`)} comes first`,
  ])
  expect((await install(file, { dirs: [] })).notes).toEqual([
    'hosts look there only when they are started with --plugin-dir',
  ])
})

test('who changes a directory waits for whoever is at it', async () => {
  const file = await put(`dist/${NAME}.mjs`, storeText('a'))
  await mkdir(dir.join('plugins'))
  let done = false
  let installing: Promise<void>
  {
    using _lock = await lockRecord(dir.join('plugins'))
    installing = install(file).then(() => void (done = true))
    await sleep(1000)
    expect(done).toBe(false)
    expect(await readdir(dir.join('plugins'))).not.toContain(`${NAME}.mjs`)
  }
  await installing
})

test('many at once all get there, each with its record', async () => {
  const files = await Promise.all(
    ['a', 'b', 'c'].map((scheme) =>
      put(`dist/d7y-resource-plugin-${scheme}.mjs`, storeText('x').replaceAll("'store'", `'${scheme}'`)),
    ),
  )
  await Promise.all(files.map((file) => install(file)))
  expect((await plugins()).toSorted()).toEqual(files.map((file) => file.slice(dirname(file).length + 1)))
  expect((await readInstalled(dir.join('plugins'))).size).toBe(3)
})

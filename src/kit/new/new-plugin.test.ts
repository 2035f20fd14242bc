import { mkdir, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { run, tempDir } from '#devnet'
import { parsePluginName } from '#plugin'
import { checkedScheme } from '../checked-scheme.ts'
import { installation } from '../installation.ts'
import { newPlugin } from './new-plugin.ts'
import { templateFiles } from './template.ts'

const ROOT = join(import.meta.dirname, '../../..')
const FILES = ['.gitignore', 'README.md', 'index.test.mjs', 'index.ts', 'package.json', 'tsconfig.json']

test('a new project has its files, and is linked to this installation', async () => {
  await using dir = await tempDir('new')
  const made = await newPlugin({ scheme: 'Store', dir: dir.join('deep/project') })
  expect(made).toMatchObject({ scheme: 'store', dir: dir.join('deep/project'), linkedTo: ROOT })
  expect((await readdir(made.dir)).sort()).toEqual([...FILES, 'node_modules'].sort())
  expect(await realpath(join(made.dir, 'node_modules/dragonfly-ts'))).toBe(ROOT)
  expect(await realpath(join(made.dir, 'node_modules/.bin/dfget'))).toBe(join(ROOT, 'bin/dfget'))
  expect(await readdir(dir.join('deep'))).toEqual(['project'])
  expect(JSON.parse(await readFile(join(made.dir, 'package.json'), 'utf8'))).toMatchObject({
    name: 'd7y-resource-plugin-store',
    devDependencies: { 'dragonfly-ts': `^${installation().version}` },
  })
})

test('an empty directory that is there is filled, and stays the same one; an empty repository counts as empty', async () => {
  await using dir = await tempDir('new')
  await mkdir(dir.join('.git'))
  const { ino } = await stat(dir.path)
  await newPlugin({ scheme: 'store', dir: dir.path })
  expect((await stat(dir.path)).ino).toBe(ino)
  expect((await readdir(dir.path)).sort()).toEqual([...FILES, '.git', 'node_modules'].sort())
})

test('what is in the way is named, and nothing is written', async () => {
  await using dir = await tempDir('new')
  for (const name of ['b.txt', 'a.txt', '.hidden', 'c.txt', 'd.txt']) await writeFile(dir.join(name), '')
  await expect(newPlugin({ scheme: 'store', dir: dir.path })).rejects.toMatchObject({
    code: 'usage.invalid',
    message: `${dir.path} is not empty: .hidden, a.txt, b.txt and 2 more would be in the way; name an empty directory`,
  })
  expect((await readdir(dir.path)).length).toBe(5)
  await expect(newPlugin({ scheme: 'store', dir: dir.join('a.txt') })).rejects.toThrow(/a\.txt: it is no directory/)
  await expect(newPlugin({ scheme: 'store', dir: dir.join('a.txt/below') })).rejects.toThrow(/a\.txt\/below/)
})

test.each([
  ['', /is no scheme of a URL/],
  ['7z', /is no scheme of a URL: a letter, then/],
  ['a_b', /is no scheme of a URL/],
  ['../x', /is no scheme of a URL/],
  ['store://host', /write it without what follows the colon/],
  ['x'.repeat(101), /is no scheme of a URL/],
  ['https', /https is built in/],
  ['HTTP', /http is built in/],
  ['file', /file is built in/],
])('the scheme "%s" is refused with its reason', async (scheme, reason) => {
  await using dir = await tempDir('new')
  const made = newPlugin({ scheme, dir: dir.join('project') })
  await expect(made).rejects.toMatchObject({ code: 'usage.invalid', message: expect.stringMatching(reason) })
  expect(await readdir(dir.path)).toEqual([])
})

test('every scheme that is taken makes a file name in which hosts find the scheme again', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z][a-z0-9+.-]{0,30}$/), (text) => {
      fc.pre(!['http', 'https', 'file'].includes(text))
      const scheme = checkedScheme(text)
      expect(parsePluginName(`d7y-resource-plugin-${scheme}.mjs`, false)).toEqual({ type: 'resource', name: scheme })
    }),
  )
})

test('a scheme that npm takes in no name is said to the build', () => {
  const { 'package.json': text = '' } = templateFiles({ scheme: 'git+https', version: '1.2.3' })
  expect(JSON.parse(text)).toMatchObject({
    name: 'd7y-resource-plugin-git-https',
    main: 'dist/d7y-resource-plugin-git+https.mjs',
    scripts: { build: 'dfget plugin build --scheme git+https' },
  })
})

test('a new project has no type error, and is laid out as this repository is', { timeout: 120_000 }, async () => {
  await using dir = await tempDir('new')
  await newPlugin({ scheme: 'store', dir: dir.join('project') })
  // The kit's sources take the place of its declarations, which only a whole build makes.
  const kit = { 'dragonfly-ts/source': [join(ROOT, 'src/source/sdk.ts')] }
  const config = { extends: './tsconfig.json', compilerOptions: { paths: kit, allowImportingTsExtensions: true } }
  await writeFile(dir.join('project/tsconfig.paths.json'), JSON.stringify(config))
  const checked = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', dir.join('project/tsconfig.paths.json')])
  expect(checked.stdout + checked.stderr).toBe('')
  const files = ['index.ts', 'index.test.mjs'].map((name) => dir.join(`project/${name}`))
  const args = ['format', '--config-path', ROOT, ...files]
  const formatted = await run(join(ROOT, 'node_modules/.bin/biome'), args, { cwd: dir.path })
  expect(formatted, formatted.stderr + formatted.stdout).toMatchObject({ code: 0 })
})

// Node's own recursive mkdir never comes back from there.
test.skipIf(process.platform !== 'linux')('a place where nothing can be made is told, at once', async () => {
  await expect(newPlugin({ scheme: 'shelf', dir: '/proc/no/such/x' })).rejects.toMatchObject({ code: 'output.invalid' })
})

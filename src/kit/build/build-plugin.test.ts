import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { run, type TempDir, tempDir } from '#devnet'
import { buildPlugin } from './build-plugin.ts'
import { buildTime, rangeFor } from './stamp.ts'

const ROOT = join(import.meta.dirname, '../../..')
const PLAIN = `export const DragonflyPluginInit = (options) => ({
  client: { download: async () => ({ body: new Uint8Array() }) },
  metadata: { type: 'resource', name: 'x', scheme: 'x', options },
})`

async function project(files: Readonly<Record<string, string>>): Promise<TempDir> {
  const dir = await tempDir('build')
  const manifest = { name: 'd7y-resource-plugin-x', type: 'module', author: 'Ada Store <ada@store> (a)' }
  for (const [name, text] of Object.entries({ 'package.json': JSON.stringify(manifest), ...files })) {
    await mkdir(dirname(dir.join(name)), { recursive: true })
    await writeFile(dir.join(name), text)
  }
  return dir
}

/** What the built file exports, and says of itself. */
async function loaded(file: string, options: unknown = {}) {
  const script = `const module = await import(process.argv[1])
    const answer = module.DragonflyPluginInit(${JSON.stringify(options)})
    const { metadata, client } = await answer
    const { DragonflyPluginOptions: schema } = module
    console.log(JSON.stringify({ metadata, schema, promise: answer instanceof Promise, client: typeof client }))`
  const ran = await run(process.execPath, ['--input-type=module', '-e', script, '--', file])
  expect(ran.code, ran.stderr).toBe(0)
  return JSON.parse(ran.stdout) as { metadata: Record<string, unknown>; schema?: unknown; promise: boolean }
}

test('a build knows its commit, time, vendor and contract, and says so in the metadata', async () => {
  await using dir = await project({ 'index.js': PLAIN })
  const built = await buildPlugin({ dir: dir.path })
  expect(built).toMatchObject({ type: 'resource', name: 'x', file: dir.join('dist/d7y-resource-plugin-x.mjs') })
  expect(await readdir(dir.join('dist'))).toEqual(['d7y-resource-plugin-x.mjs'])
  const { metadata, promise } = await loaded(built.file, { key: 1 })
  expect(promise).toBe(false)
  expect(metadata).toEqual({
    type: 'resource',
    name: 'x',
    scheme: 'x',
    options: { key: 1 },
    buildCommit: 'unknown',
    buildTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    vendor: 'Ada Store',
    apiVersion: expect.stringMatching(/^\^\d+\.\d+\.0$/),
  })
})

test("the author's own metadata wins, what it leaves open is filled in, and an init may take its time", async () => {
  const text = PLAIN.replace('(options) =>', 'async () =>').replace(
    'options }',
    "vendor: 'me', buildCommit: undefined, apiVersion: '1' }",
  )
  await using dir = await project({ 'index.js': text })
  const { metadata, promise } = await loaded((await buildPlugin({ dir: dir.path, vendor: 'you' })).file)
  expect(promise).toBe(true)
  expect(metadata).toMatchObject({ vendor: 'me', apiVersion: '1', buildCommit: 'unknown' })
})

test.each([
  [
    'ESM',
    {
      'index.ts': `${PLAIN.replace('(options)', '(options: unknown)')}\nexport const DragonflyPluginOptions = { type: 'object' }`,
    },
  ],
  [
    'CommonJS',
    {
      'package.json': '{"name":"@acme/d7y-resource-plugin-x"}',
      'src/index.js': `${PLAIN.replace('export const ', 'exports.')}\nexports.DragonflyPluginOptions = { type: 'object' }`,
    },
  ],
  [
    'a default export',
    {
      'index.mjs': `${PLAIN.replace('export ', '')}\nexport default { DragonflyPluginInit, DragonflyPluginOptions: { type: 'object' } }`,
    },
  ],
])('%s is bundled with its schema, stamped', async (_, files) => {
  await using dir = await project(files)
  const { metadata, schema } = await loaded((await buildPlugin({ dir: dir.path })).file)
  expect(metadata).toMatchObject({ name: 'x', buildCommit: 'unknown' })
  expect(schema).toEqual({ type: 'object' })
})

test('a plugin without a schema exports none', async () => {
  await using dir = await project({ 'index.js': PLAIN })
  const { file } = await buildPlugin({ dir: dir.path })
  expect(await readFile(file, 'utf8')).not.toContain('DragonflyPluginOptions')
})

// G1 row 15: third-party packages of the plugin are honoured.
test('what a plugin imports is inside: its packages are not looked for where it runs', async () => {
  const text = `import semver from 'semver'\nimport { notFound } from 'dragonfly-ts/source'
    export const DragonflyPluginInit = () => ({ client: {}, metadata: { next: semver.inc('1.2.3', 'minor'), code: notFound('x:y').code } })`
  await using dir = await project({ 'index.js': text })
  await mkdir(dir.join('node_modules'))
  await symlink(join(ROOT, 'node_modules/semver'), dir.join('node_modules/semver'))
  const { file } = await buildPlugin({ dir: dir.path, out: dir.join('elsewhere') })
  await rm(dir.join('node_modules'), { recursive: true })
  expect(file).toBe(dir.join('elsewhere/d7y-resource-plugin-x.mjs'))
  expect((await loaded(file)).metadata).toMatchObject({ next: '1.3.0', code: 'source.not_found' })
})

test('CommonJS that asks where it is, is told where the plugin is; names of the author stay', async () => {
  const text = `const where = require('./where.cjs')\nconst __dirname = 'mine'
    export const DragonflyPluginInit = () => ({ client: {}, metadata: { where, __dirname } })`
  await using dir = await project({ 'index.mjs': text, 'where.cjs': 'module.exports = [__dirname, __filename]' })
  const { file } = await buildPlugin({ dir: dir.path })
  expect((await loaded(file)).metadata).toMatchObject({ where: [dirname(file), file], __dirname: 'mine' })
})

test.each([true, false])('native addons are left out: who can do without goes on (there: %s)', async (there) => {
  const text = `let fast\nlet why\ntry { fast = require('./fast.node') } catch (error) { why = error.message }
    exports.DragonflyPluginInit = () => ({ client: {}, metadata: { why, fast } })`
  const addon: Record<string, string> = there ? { 'fast.node': 'machine code' } : {}
  await using dir = await project({ 'package.json': '{"name":"d7y-resource-plugin-x"}', 'index.js': text, ...addon })
  const { metadata } = await loaded((await buildPlugin({ dir: dir.path })).file)
  expect(metadata).toMatchObject({ why: 'the native addon fast.node is no part of this file' })
})

test('the commit is that of the project, dirty when something of it is not committed', async () => {
  await using dir = await project({ 'sub/package.json': '{"name":"d7y-resource-plugin-x"}', 'sub/index.mjs': PLAIN })
  const git = async (...args: string[]) => {
    const ran = await run('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: dir.path })
    expect(ran.code, ran.stderr).toBe(0)
    return ran.stdout.trim()
  }
  const commit = async () => (await buildPlugin({ dir: dir.join('sub') })).stamp.buildCommit
  expect(await commit()).toBe('unknown')
  await git('init', '-q')
  expect(await commit()).toBe('unknown')
  await rm(dir.join('sub/dist'), { recursive: true })
  await git('add', '.')
  await git('commit', '-q', '-m', 'first')
  const head = await git('rev-parse', '--short', 'HEAD')
  expect(await commit()).toBe(head)
  expect(await commit()).toBe(head) // what the build itself has written there changes nothing
  await writeFile(dir.join('beside.txt'), 'of another project')
  expect(await commit()).toBe(head)
  await writeFile(dir.join('sub/more.js'), '')
  expect(await commit()).toBe(`${head}-dirty`)
})

test('source of package.json comes first, then main unless it is what is built, then index.ts', async () => {
  const mark = (text: string) => PLAIN.replace('options }', `mark: '${text}' }`)
  await using dir = await project({ 'index.js': mark('index'), 'lib/a.js': mark('main'), 'b.js': mark('source') })
  const built = async (manifest: object) => {
    const whole = { name: 'd7y-resource-plugin-x', type: 'module', ...manifest }
    await writeFile(dir.join('package.json'), JSON.stringify(whole))
    return (await loaded((await buildPlugin({ dir: dir.path })).file)).metadata['mark']
  }
  expect(await built({})).toBe('index')
  expect(await built({ main: './lib/a.js' })).toBe('main')
  expect(await built({ main: 'lib/a.js', source: 'b.js' })).toBe('source')
  expect(await built({ main: './dist/d7y-resource-plugin-x.mjs' })).toBe('index')
})

test('type and name come from the name of the package, or the scheme is given', async () => {
  await using dir = await project({ 'index.js': PLAIN, 'package.json': '{"name":"store","type":"module"}' })
  await expect(buildPlugin({ dir: dir.path })).rejects.toMatchObject({
    code: 'usage.invalid',
    message: expect.stringMatching(/is called "store": call it d7y-resource-plugin-<scheme>/),
  })
  expect((await buildPlugin({ dir: dir.path, scheme: 'Git+X' })).fileName).toBe('d7y-resource-plugin-git+x.mjs')
  await writeFile(dir.join('package.json'), '{"name":"d7y-scheduler-plugin-evaluator","type":"module"}')
  expect(await buildPlugin({ dir: dir.path })).toMatchObject({ type: 'scheduler', name: 'evaluator' })
  await writeFile(dir.join('package.json'), '{"name":"d7y-scheduler-plugin-other"}')
  await expect(buildPlugin({ dir: dir.path })).rejects.toThrow('is called "d7y-scheduler-plugin-other"')
  await writeFile(dir.join('package.json'), '{"name":"d7y-resource-plugin-https"}')
  await expect(buildPlugin({ dir: dir.path })).rejects.toThrow('https is built in')
})

const MISTAKES: [what: string, files: Record<string, string>, code: string, message: RegExp][] = [
  [
    'a syntax error',
    { 'index.ts': 'export const a = 1\nconst b = ;\n' },
    'plugin.broken',
    /^it cannot be bundled:\n.*index\.ts:2:11: Unexpected ";"$/,
  ],
  [
    'a package that is not there',
    { 'index.ts': "import 'left-pad'" },
    'plugin.broken',
    /index\.ts:1:8: Could not resolve "left-pad"$/,
  ],
  [
    'no init',
    { 'index.ts': 'export const a = 1, dragonflyPluginInit = 2' },
    'plugin.broken',
    /^index\.ts exports no DragonflyPluginInit: it exports a, dragonflyPluginInit$/,
  ],
  ['nothing exported', { 'index.ts': 'const a = 1' }, 'plugin.broken', /it exports nothing$/],
  [
    'no entry',
    {},
    'usage.invalid',
    /there is no plugin to build in .*: expected index\.ts, index\.js or src\/index\.ts/,
  ],
  [
    'a source that is not there',
    { 'package.json': '{"name":"d7y-resource-plugin-x","source":"a.ts"}' },
    'usage.invalid',
    /names a\.ts, which is no file/,
  ],
  ['a manifest that is no JSON', { 'package.json': '{' }, 'usage.invalid', /package\.json cannot be read: /],
  [
    'several files',
    { 'index.js': `import './a.css'\n${PLAIN}`, 'a.css': 'a{}' },
    'plugin.broken',
    /a plugin is one file/,
  ],
]

test.each(MISTAKES)(
  'a project with %s is refused in words, and an older build stays',
  async (_, files, code, message) => {
    await using dir = await project({ 'dist/d7y-resource-plugin-x.mjs': 'older', ...files })
    const failure = buildPlugin({ dir: dir.path })
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(await readdir(dir.join('dist'))).toEqual(['d7y-resource-plugin-x.mjs'])
    expect(await readFile(dir.join('dist/d7y-resource-plugin-x.mjs'), 'utf8')).toBe('older')
  },
)

test('a directory that is none is refused', async () => {
  await using dir = await project({})
  await expect(buildPlugin({ dir: dir.join('gone') })).rejects.toMatchObject({ code: 'usage.invalid' })
  await expect(buildPlugin({ dir: dir.join('package.json') })).rejects.toThrow('is a file: name the directory')
})

test('a build can be made to say a given time, and asks for the contract it was made with', () => {
  expect(buildTime('1700000000')).toBe('2023-11-14T22:13:20Z')
  expect(buildTime('soon')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect(rangeFor('1.7.3')).toBe('^1.7.0')
})

import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytesOf, type Ran, runProgram, startNginx, type TempDir, tempDir } from '#devnet'
import { expectFile, expectSuccess, MiB, STORY } from './story.ts'

const SERVER = `
location /dir/ { autoindex on; autoindex_format json; }
location /denied/ { return 403; }
`

interface TestResult {
  readonly success: boolean
  readonly rows: readonly { readonly check: string; readonly verdict: string; readonly detail: string }[]
}

/** dfget as an author runs it, in a folder of their own. */
function author(dir: TempDir) {
  const env = { DRAGONFLY_WORKHOME: dir.join('home') }
  return (args: readonly string[], cwd = dir.path): Promise<Ran> => runProgram('dfget', args, { cwd, env })
}

function rowsOf(ran: Ran, verdict: string): string[] {
  const { rows } = JSON.parse(ran.stdout) as TestResult
  return rows.filter((row) => row.verdict === verdict).map(({ check, detail }) => `${check}: ${detail}`)
}

// Issue 3, done when 1: from an empty folder to bytes.
test('from an empty folder: new, build, check, test, and dfget reads by the plugin', STORY, async () => {
  await using dir = await tempDir('kit')
  const content = bytesOf({ size: 40 * MiB, seed: 3 })
  const files = { 'dir/file': content, 'dir/empty': Buffer.alloc(0), 'dir/prüfung ä.txt': Buffer.from('x') }
  await using nginx = await startNginx({ files, server: SERVER })
  await writeFile(join(nginx.root, 'huge'), '')
  await truncate(join(nginx.root, 'huge'), 1025 * MiB)
  const dfget = author(dir)
  const url = (path: string): string => `store://127.0.0.1:${nginx.port}/${path}`

  const made = await dfget(['plugin', 'new', 'store'])
  expectSuccess(made)
  expect(made.stdout).toMatch(/^linked node_modules\/dragonfly-ts to \/.*, so that it builds and tests at once$/m)
  const project = dir.join('d7y-resource-plugin-store')

  const built = await dfget(['plugin', 'build'], project)
  expectSuccess(built)
  expect(built.stdout).toMatch(/^resource plugin store, location: d7y-resource-plugin-store\.mjs, attribute: \{.*\}\n$/)
  expect(await readdir(join(project, 'dist'))).toEqual(['d7y-resource-plugin-store.mjs'])
  const file = join(project, 'dist/d7y-resource-plugin-store.mjs')

  const checked = await dfget(['plugin', 'check', file])
  expectSuccess(checked)
  expect(checked.stdout).toMatch(/^ {2}ok +file +\S+ KiB, sha256 [0-9a-f]{64}, owner \S+, mode \d{4}$/m)
  expect(checked.stdout).toMatch(/^ {2}ok +list +present$/m)

  await writeFile(dir.join('content'), content)
  const change = `printf changed > ${join(nginx.root, 'dir/file')}`
  const flags = { url: url('dir/file'), content: dir.join('content'), 'denied-url': url('denied/a'), change }
  const more = { 'empty-url': url('dir/empty'), 'unicode-url': url('dir/prüfung ä.txt'), 'huge-url': url('huge') }
  const all = Object.entries({ ...flags, ...more, 'list-url': url('dir/') }).flatMap(([name, value]) => [
    `--${name}`,
    value,
  ])
  const tested = await dfget(['plugin', 'test', file, ...all, '--json'])
  expect(rowsOf(tested, 'failed')).toEqual([])
  expect(rowsOf(tested, 'not tried')).toEqual([])
  expect(rowsOf(tested, 'not supported')).toEqual([])
  expectSuccess(tested)

  await writeFile(join(nginx.root, 'dir/file'), content)
  const args = ['-u', url('dir/file'), '-O', dir.join('out'), '-p', 'source']
  expectSuccess(await dfget([...args, '--plugin-dir', join(project, 'dist')]))
  await expectFile(dir.join('out'), content)
})

test('an author whose plugin breaks a promise is told which, and what was seen', STORY, async () => {
  await using dir = await tempDir('kit')
  const content = Buffer.from('hello world')
  await using nginx = await startNginx({ files: { 'dir/file': content } })
  const dfget = author(dir)
  expectSuccess(await dfget(['plugin', 'new', 'store', 'p']))
  const source = await readFile(dir.join('p/index.ts'), 'utf8')
  const broken = source.replace("fields.set('range'", "fields.set('x-range'").replace('404: source', 'source')
  expect(broken).not.toBe(source)
  await writeFile(dir.join('p/index.ts'), broken)
  expectSuccess(await dfget(['plugin', 'build', 'p']))
  const file = dir.join('p/dist/d7y-resource-plugin-store.mjs')
  const tested = await dfget(['plugin', 'test', file, '--url', `store://127.0.0.1:${nginx.port}/dir/file`])
  expect(tested.code).toBe(1)
  expect(tested.stdout).toMatch(
    /^failed +gives exactly the range asked for.*: range 0-0: status 206 or its contentLength$/m,
  )
  expect(tested.stdout).toMatch(/^failed +goes on where a read broke off: source\.\w+: /m)
  expect(tested.stdout).toMatch(/^passed +gives exactly the bytes of the resource$/m)
  expect(tested.stdout).toMatch(/^not tried +says source\.denied for what is forbidden: give --denied-url$/m)
  expect(tested.stdout).toMatch(/^\d+ passed, \d failed, \d not supported, \d not tried\n$/m)
})

/** A small file, and 1 GiB of zeros whose reading does something with memory. */
function zerosPlugin(before: string, each = ''): string {
  return `const MiB = 2 ** 20
    const small = Buffer.from('small')
    async function* zeros() {
      const [held, chunk] = [[], Buffer.alloc(MiB)]
      ${before}
      for (let at = 0; at < 1024; at++) { ${each}; yield chunk }
    }
    const client = {
      async download({ url }) { return url.endsWith('huge') ? { body: zeros(), contentLength: 1024 * MiB } : { body: small } },
    }
    export const DragonflyPluginInit = () => ({ client, metadata: { type: 'resource', name: 'zeros', scheme: 'zeros' } })`
}

test('a plugin that gathers, or reads ahead, is found out by the memory of its own process', STORY, async () => {
  await using dir = await tempDir('kit')
  const file = dir.join('d7y-resource-plugin-zeros.mjs')
  const failedWith = async (plugin: string): Promise<string> => {
    await writeFile(file, plugin)
    const urls = ['--url', 'zeros://host/small', '--huge-url', 'zeros://host/huge', '--missing-url', 'none']
    return rowsOf(await author(dir)(['plugin', 'test', file, ...urls, '--json']), 'failed').join('\n')
  }
  expect(await failedWith(zerosPlugin(''))).toBe('')
  const gathers = await failedWith(zerosPlugin('held.push(Buffer.alloc(300 * MiB, 1))'))
  expect(gathers).toMatch(
    /^streams what is huge, in little memory: .*memory of the plugin \+\d{3}\.\d MiB: it gathers/m,
  )
  const ahead = await failedWith(
    zerosPlugin('setInterval(() => held.length < 6 && held.push(Buffer.alloc(40 * MiB, 1)), 20).unref()'),
  )
  expect(ahead).toMatch(/^reads no further ahead than it is asked for: memory \+.* while the reader rested: it reads/m)
  const all = await failedWith(zerosPlugin('', 'held.push(Buffer.alloc(16 * MiB, 1))'))
  expect(all).toMatch(/^streams what is huge, in little memory: (plugin\.crashed: |.*: it gathers)/m)
})

test('a plugin that needs options is built, and checked further once it has them', STORY, async () => {
  await using dir = await tempDir('kit')
  const dfget = author(dir)
  await mkdir(dir.join('p'))
  await writeFile(dir.join('p/package.json'), '{"name":"d7y-resource-plugin-store","type":"module","author":"Ada"}')
  const schema = `{ type: 'object', required: ['origin'], properties: { origin: { type: 'string' } } }`
  const plugin = `export const DragonflyPluginOptions = ${schema}
    export const DragonflyPluginInit = ({ origin }) => ({
      client: { download: async () => ({ body: Buffer.from(origin) }) },
      metadata: { type: 'resource', name: 'store', scheme: 'store' },
    })`
  await writeFile(dir.join('p/index.js'), plugin)
  const without = await dfget(['plugin', 'build', 'p'])
  expectSuccess(without)
  expect(without.stdout).toBe('')
  expect(without.stderr).toMatch(
    /note: not checked further, for it needs options: plugins\.store\.origin: is missing; give/,
  )
  const built = await dfget(['plugin', 'build', 'p', '--plugin-option', 'store.origin=here'])
  expectSuccess(built)
  expect(built.stdout).toContain('"vendor":"Ada"')
  const wrong = await dfget(['plugin', 'build', 'p', '--plugin-option', 'store.origin={}'])
  expect(wrong.code).toBe(2)
  expect(wrong.stderr).toContain('plugins.store.origin: must be string')

  const file = dir.join('p/dist/d7y-resource-plugin-store.mjs')
  const unchecked = await dfget(['plugin', 'check', file])
  expect(unchecked.code).toBe(3)
  expect(unchecked.stdout).toMatch(/^ {2}error +options +plugins\.store\.origin: is missing$/m)
  const checked = await dfget(['plugin', 'check', file, '--plugin-option', 'store.origin=here', '--json'])
  expectSuccess(checked)
  expect(JSON.parse(checked.stdout)).toMatchObject({ success: true, severity: 'note', files: [{ path: file }] })
})

test('wrong inputs are refused in words, and leave nothing behind', STORY, async () => {
  await using dir = await tempDir('kit')
  const dfget = author(dir)
  await writeFile(dir.join('notes.txt'), '')
  const said = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await dfget(['plugin', ...args])
    expect(stderr).not.toMatch(/^ +at /m)
    return `${code} ${stdout}${stderr}`
  }
  expect(await said('new', '7z')).toMatch(/^2 dfget: "7z" is no scheme of a URL: a letter, then letters/)
  expect(await said('new', 'https')).toMatch(/^2 dfget: https is built in/)
  expect(await said('new', 'store', '.')).toMatch(/^2 dfget: .* is not empty: notes\.txt would be in the way/)
  expect(await said('new')).toMatch(/^2 dfget: missing required argument 'scheme'/)
  expect(await said('build')).toMatch(/^2 dfget: the project in .* has no name: call it d7y-resource-plugin-<scheme>/)
  expect(await said('build', '--scheme', 'a/b')).toMatch(/^2 dfget: "a\/b" is no scheme/)
  expect(await said('build', 'gone')).toMatch(/^2 dfget: there is no project to build in .*gone/)
  expect(await said('check')).toMatch(/^2 dfget: missing required argument 'file'/)
  expect(await said('check', 'notes.txt')).toMatch(
    /^3 notes\.txt\n {2}error +file +notes\.txt is no plugin by its name/,
  )
  expect(await said('check', 'd7y-resource-plugin-x.mjs')).toMatch(/^3 .*\n {2}error +file +ENOENT/)
  expect(await readdir(dir.path)).toEqual(['notes.txt'])

  const file = 'd7y-resource-plugin-x.mjs'
  await writeFile(dir.join(file), 'export const DragonflyPluginInit = 7')
  expect(await said('check', file)).toMatch(
    /^3 .*\n.*\n {2}ok +module .*\n {2}error +init +invalid plugin init function signature/,
  )
  expect(await said('test', file)).toMatch(/^2 dfget: required option '--url <url>' not specified/)
  expect(await said('test', file, '--url', 'y://host')).toMatch(/^2 dfget: --url y:\/\/host is no URL of the scheme x/)
  expect(await said('test', file, '--url', 'x://host')).toMatch(/^3 dfget: plugin .*: invalid plugin init function/)
  const timeout = ['test', file, '--url', 'x://host', '--timeout', 'soon']
  expect(await said(...timeout)).toMatch(/^2 dfget: --timeout soon is not a duration/)
  await writeFile(dir.join('index.ts'), 'export const a = 1\nconst b: number = ;\n')
  expect(await said('build', '--scheme', 'x')).toMatch(
    /^3 dfget: it cannot be bundled:\nindex\.ts:2:19: Unexpected ";"\n/,
  )
})

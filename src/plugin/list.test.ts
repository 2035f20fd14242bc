import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chmod, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { resolveSettings } from '#core'
import { builtInSources, sourceSettings } from '#source'
import type { InspectOptions, PluginPolicy, RenderedListing } from './index.ts'
import {
  BUILT_IN_SCHEMES,
  foundAt,
  hashPlugin,
  listingJson,
  listPlugins,
  pluginDirs,
  renderListing,
  writeInstalled,
} from './index.ts'
import { dirWith, pluginText, policyOf } from './test-host.ts'

const PAGE = `{ scheme: 'd7yfs', type: 'resource', name: 'd7yfs', buildCommit: 'bb65f13', buildTime: '2021-12-13T08:53:04Z', vendor: 'd7y' }`
const PAGE_LINE =
  'resource plugin d7yfs, location: d7y-resource-plugin-d7yfs.mjs, attribute: {"buildCommit":"bb65f13","buildTime":"2021-12-13T08:53:04Z","name":"d7yfs","scheme":"d7yfs","type":"resource","vendor":"d7y"}'

const IN_TREE = BUILT_IN_SCHEMES.map(
  (scheme) =>
    `resource plugin ${scheme}, location: in-tree, attribute: {"name":"${scheme}","scheme":"${scheme}","type":"resource","vendor":"dragonfly-ts"}`,
)

function how(options: InspectOptions['options'] = {}, policy: Partial<PluginPolicy> = {}): InspectOptions {
  return { options, policy: policyOf(policy), warn: () => undefined }
}

const given = (dirs: readonly string[]) => dirs.map((path) => ({ path, given: true }))

async function listing(...dirs: string[]): Promise<RenderedListing> {
  return renderListing(await listPlugins({ dirs: given(dirs), ...how() }))
}

// G1 rows 13, 20 and 21.
test('a good plugin is one line of the page on stdout, after the directory on stderr', async () => {
  const dir = await dirWith({ 'd7y-resource-plugin-d7yfs.mjs': pluginText('d7yfs', { metadata: PAGE }) })
  expect(await listing(dir)).toEqual({
    stdout: [PAGE_LINE, ...IN_TREE],
    stderr: [`search plugin in ${dir}`],
    exitCode: 0,
  })
})

// G1 row 1.
test('a file in the directory of the working home is listed unasked', async () => {
  const workhome = await dirWith({ 'plugins/d7y-resource-plugin-d7yfs.mjs': pluginText('d7yfs', { metadata: PAGE }) })
  const { stdout, stderr } = renderListing(await listPlugins({ dirs: pluginDirs({ workhome }), ...how() }))
  expect(stdout).toContain(PAGE_LINE)
  expect(stderr[0]).toBe(`search plugin in ${join(workhome, 'plugins')}`)
})

// G1 row 20: broken neighbours are told of and hide nothing.
test('what is broken, unexpected, unused or shadowed is told on stderr and hides no good plugin', async () => {
  const dir = await dirWith({
    'd7y-resource-plugin-a.mjs': 'throw new Error("a is broken")',
    'd7y-resource-plugin-d7yfs.mjs': pluginText('d7yfs', { metadata: PAGE }),
    'd7y-resource-plugin-z.mjs': 'throw new Error("z is broken")',
    'd7y-resource-plugin-d7yfs.js': 'throw new Error("never run")',
    'notes\u001b[2J.txt': '',
    'folder/x': '',
  })
  expect(await listing(dir)).toEqual({
    stdout: [PAGE_LINE, ...IN_TREE],
    stderr: [
      `search plugin in ${dir}`,
      'not support directory: folder',
      'not valid plugin name: notes\\u001b[2J.txt',
      'not valid plugin binary format d7y-resource-plugin-a.mjs: "it cannot be loaded: a is broken"',
      `resource plugin d7yfs, location: d7y-resource-plugin-d7yfs.js, not used: ${join(dir, 'd7y-resource-plugin-d7yfs.mjs')} comes first`,
      'not valid plugin binary format d7y-resource-plugin-z.mjs: "it cannot be loaded: z is broken"',
    ],
    exitCode: 1,
  })
})

test('only broken plugins and directories of the user that cannot be searched make the exit code 1', async () => {
  const dir = await dirWith({ 'notes.txt': '', 'folder/x': '', '.installed.json': '', '.install.lock': '' })
  expect((await listing(dir)).exitCode).toBe(0)
  const missing = join(dir, 'missing')
  expect(await listing(missing)).toEqual({
    stdout: IN_TREE,
    stderr: [`search plugin in ${missing}`, `read plugin dir ${missing} error: it does not exist`],
    exitCode: 1,
  })
  const unasked = renderListing(await listPlugins({ dirs: [{ path: missing, given: false }], ...how() }))
  expect(unasked).toEqual({
    stdout: IN_TREE,
    stderr: [`search plugin in ${missing}`, 'no plugin found: the directory does not exist'],
    exitCode: 0,
  })
  expect((await listing(join(dir, 'notes.txt'))).exitCode).toBe(1)
})

test('every directory has its line, and a link that leads elsewhere is told of', async () => {
  const real = await dirWith({ 'real.mjs': pluginText('x') })
  const [first, second] = [await dirWith(), await dirWith()]
  await symlink(join(real, 'real.mjs'), join(second, 'd7y-resource-plugin-x.mjs'))
  const { stdout, stderr, exitCode } = await listing(first, second)
  expect(stdout).toHaveLength(1 + IN_TREE.length)
  expect(stderr).toEqual([
    `search plugin in ${first}`,
    `search plugin in ${second}`,
    expect.stringMatching(/^resource plugin x, location: d7y-resource-plugin-x.mjs, is a link to .*real.mjs$/),
  ])
  expect(exitCode).toBe(0)
})

test('a plugin for a scheme that is built in is told to be of no use', async () => {
  for (const { scheme } of builtInSources(resolveSettings(sourceSettings, []), () => undefined)) {
    const name = `d7y-resource-plugin-${scheme}.mjs`
    const { stdout, stderr } = await listing(await dirWith({ [name]: pluginText(scheme) }))
    expect(stdout).toEqual(IN_TREE)
    expect(stderr[1]).toMatch(new RegExp(`^resource plugin ${scheme}, .* not used: ${scheme} is built in`))
  }
})

test('the other two kinds are loaded, checked and listed like the first', async () => {
  const kind = (type: string, name: string, method: string): string =>
    pluginText(name, { metadata: `{ type: '${type}', name: '${name}' }`, client: `{ ${method}() {} }` })
  const dir = await dirWith({
    'd7y-scheduler-plugin-evaluator.mjs': kind('scheduler', 'evaluator', 'evaluate'),
    'd7y-manager-plugin-searcher.mjs': kind('manager', 'searcher', 'findSchedulerCluster'),
  })
  const { stdout, exitCode } = await listing(dir)
  expect(stdout.slice(0, 2)).toEqual([
    'manager plugin searcher, location: d7y-manager-plugin-searcher.mjs, attribute: {"name":"searcher","type":"manager"}',
    'scheduler plugin evaluator, location: d7y-scheduler-plugin-evaluator.mjs, attribute: {"name":"evaluator","type":"scheduler"}',
  ])
  expect(exitCode).toBe(0)
  const wrong = await dirWith({ 'd7y-scheduler-plugin-evaluator.mjs': kind('scheduler', 'evaluator', 'download') })
  expect((await listing(wrong)).stderr[1]).toMatch(/^not valid plugin binary format .*evaluate"$/)
})

test('metadata cannot write to the terminal', async () => {
  const metadata = "{ type: 'resource', name: 'x', scheme: 'x', vendor: '\\u001b[2J\\u009b1m\\n' }"
  const { stdout } = await listing(await dirWith({ 'd7y-resource-plugin-x.mjs': pluginText('x', { metadata }) }))
  expect(stdout[0]).toContain('"vendor":"\\u001b[2J\\u009b1m\\n"}')
})

test('what would be refused in use is refused in the listing, with the way out', async () => {
  const name = 'd7y-resource-plugin-x.mjs'
  const metadata = "{ type: 'resource', name: 'x', scheme: 'x', permissions: { files: ['/etc/hosts'] } }"
  const options = "export const DragonflyPluginOptions = { type: 'object', required: ['bucket'] }"
  const cases: [string, Partial<PluginPolicy>, RegExp][] = [
    [pluginText('x', { metadata }), {}, /files=\/etc\/hosts/],
    [pluginText('x', { before: options }), {}, /^plugins\.x.*bucket/],
    [pluginText('x'), { pins: { x: '0'.repeat(64) } }, /pluginPolicy\.pins\.x/],
  ]
  for (const [text, policy, reason] of cases) {
    const dir = await dirWith({ [name]: text, 'd7y-resource-plugin-y.mjs': pluginText('y') })
    const dirs = await listPlugins({ dirs: given([dir]), ...how({}, policy) })
    const [refused, good] = dirs[0]?.plugins ?? []
    expect(refused).toMatchObject({ state: 'refused', reason: expect.stringMatching(reason) })
    expect(good).toMatchObject({ state: 'good' })
    const { stderr, stdout, exitCode } = renderListing(dirs)
    expect(stderr[1]).toMatch(/^resource plugin x, location: d7y-resource-plugin-x.mjs, refused: /)
    expect(stdout).toHaveLength(1 + IN_TREE.length)
    expect(exitCode).toBe(1)
  }
})

test('what a plugin lacks is told kind by kind in the JSON', async () => {
  const permissions = "{ files: ['/etc/hosts', '/data'], processes: true }"
  const metadata = `{ type: 'resource', name: 'x', scheme: 'x', permissions: ${permissions} }`
  const dir = await dirWith({ 'd7y-resource-plugin-x.mjs': pluginText('x', { metadata }) })
  const grants = { x: { files: ['/data'] } }
  const json = listingJson(await listPlugins({ dirs: given([dir]), ...how({}, { grants }) }))
  expect(json).toMatchObject({
    directories: [
      {
        plugins: [
          {
            state: 'refused',
            permissions: {
              declared: { files: ['/etc/hosts', '/data'], processes: true },
              granted: { files: ['/data'] },
              missing: ['files=/etc/hosts', 'processes=true'],
            },
          },
        ],
      },
    ],
  })
})

test('a directory that others may write to is told with the command that closes it', async () => {
  const dir = await dirWith({ 'd7y-resource-plugin-x.mjs': pluginText('x') })
  await chmod(dir, 0o777)
  const { stderr, exitCode } = await listing(dir)
  expect(stderr[1]).toMatch(new RegExp(`refused: .*chmod o-w ${dir}$`))
  expect(exitCode).toBe(1)
})

test('what plugins print while they are loaded is in no listing', async () => {
  const before = "console.log('noise'); console.error('noise'); process.stdout.write('noise\\n')"
  const dir = await dirWith({ 'd7y-resource-plugin-x.mjs': pluginText('x', { before }) })
  const written: unknown[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((data) => written.push(data) > 0)
  try {
    const { stdout, stderr } = await listing(dir)
    expect([stdout, stderr, written].flat().join()).not.toContain('noise')
  } finally {
    spy.mockRestore()
  }
})

test('the JSON of a listing has all that is known, and no secret', async () => {
  const dir = await dirWith({
    'd7y-resource-plugin-b.mjs': 'throw new Error("out of order")',
    'd7y-resource-plugin-d7yfs.mjs': pluginText('d7yfs', { metadata: PAGE }),
    'd7y-resource-plugin-http.mjs': pluginText('http'),
  })
  const options = { d7yfs: { bucket: 'b', password: 's3cr3t', key: 'env:PATH' } }
  const grants = { d7yfs: { files: ['/data'] } }
  const missing = join(dir, 'missing')
  const how2 = how(options, { grants })
  const json = listingJson(await listPlugins({ dirs: [...given([dir]), { path: missing, given: false }], ...how2 }))
  const hash = (name: string): string =>
    createHash('sha256')
      .update(readFileSync(join(dir, name)))
      .digest('hex')
  expect(JSON.parse(JSON.stringify(json))).toEqual({
    directories: [
      {
        path: dir,
        plugins: [
          {
            type: 'resource',
            name: 'b',
            location: 'd7y-resource-plugin-b.mjs',
            file: join(dir, 'd7y-resource-plugin-b.mjs'),
            state: 'broken',
            reason: 'it cannot be loaded: out of order',
            sha256: hash('d7y-resource-plugin-b.mjs'),
            options: {},
            permissions: { granted: {} },
          },
          {
            type: 'resource',
            name: 'd7yfs',
            location: 'd7y-resource-plugin-d7yfs.mjs',
            file: join(dir, 'd7y-resource-plugin-d7yfs.mjs'),
            state: 'good',
            sha256: hash('d7y-resource-plugin-d7yfs.mjs'),
            metadata: expect.objectContaining({ buildCommit: 'bb65f13', scheme: 'd7yfs' }),
            methods: ['download'],
            options: { bucket: 'b', password: '[hidden]', key: 'env:PATH' },
            permissions: { declared: {}, granted: grants.d7yfs, missing: [] },
            enforcement: expect.objectContaining({ files: 'enforced', network: 'not enforced' }),
          },
          expect.objectContaining({ name: 'http', state: 'unused', reason: expect.stringContaining('built in') }),
        ],
      },
      { path: missing, problem: 'it does not exist', plugins: [] },
    ],
    inTree: BUILT_IN_SCHEMES.map((name) => ({ name, scheme: name, type: 'resource', vendor: 'dragonfly-ts' })),
  })
})

test('on request each plugin has lines with its hash, its options and what it is held to', async () => {
  const name = 'd7y-resource-plugin-x.mjs'
  const dir = await dirWith({ [name]: pluginText('x') })
  const sha256 = await hashPlugin(await foundAt(join(dir, name)))
  const verbose = async (policy: Partial<PluginPolicy> = {}): Promise<readonly string[]> => {
    const dirs = await listPlugins({ dirs: given([dir]), ...how({ x: { token: 't' } }, policy) })
    return renderListing(dirs, { verbose: true }).stderr.slice(1)
  }
  const [first, second, third, ...more] = await verbose()
  expect(more).toEqual([])
  expect(first).toBe(`  ${name} sha256: ${sha256}`)
  expect(second).toBe(`  ${name} options: {"token":"[hidden]"}`)
  expect(third).toMatch(
    new RegExp(`^  ${name} permissions: declared none; granted none; files enforced, .*network not enforced`),
  )
  expect((await verbose({ grants: { x: 'all' } })).at(-1)).toMatch(
    /granted "all"; files not enforced, environment not enforced/,
  )
})

test('a file that is another one than was installed is told of', async () => {
  const name = 'd7y-resource-plugin-x.mjs'
  const dir = await dirWith({ [name]: pluginText('x') })
  const sha256 = await hashPlugin(await foundAt(join(dir, name)))
  const note = async (hash: string): Promise<readonly string[]> => {
    await writeInstalled(dir, new Map([[name, { from: '/from', sha256: hash, at: '2026-01-02T03:04:05.678Z' }]]))
    const { stderr, exitCode } = await listing(dir)
    expect(exitCode).toBe(0)
    return stderr.slice(1)
  }
  expect(await note(sha256)).toEqual([])
  const other = '0'.repeat(64)
  expect(await note(other)).toEqual([
    `resource plugin x, location: ${name}, changed since it was installed: 2026-01-02T03:04:05.678Z from /from, sha256 then ${other}`,
  ])
})

test('many plugins are listed in their order, each with what is its own', async () => {
  const names = Array.from({ length: 9 }, (_, index) => `x${index}`)
  const files = names.map((scheme) => [`d7y-resource-plugin-${scheme}.mjs`, pluginText(scheme)])
  const { stdout } = await listing(await dirWith(Object.fromEntries(files)))
  expect(stdout.slice(0, names.length).map((line) => line.split(' ')[2])).toEqual(names.map((name) => `${name},`))
})

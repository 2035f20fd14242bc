import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { builtInSources, sourceSettings } from '#source'
import type { RenderedListing } from './index.ts'
import { bundledHost, dirWith, pluginText } from './test-host.ts'

const { listPlugins, pluginDirs, renderListing } = await bundledHost()

const PAGE = `{ scheme: 'd7yfs', type: 'resource', name: 'd7yfs', buildCommit: 'bb65f13', buildTime: '2021-12-13T08:53:04Z', vendor: 'd7y' }`
const PAGE_LINE =
  'resource plugin d7yfs, location: d7y-resource-plugin-d7yfs.mjs, attribute: {"buildCommit":"bb65f13","buildTime":"2021-12-13T08:53:04Z","name":"d7yfs","scheme":"d7yfs","type":"resource","vendor":"d7y"}'

async function listing(...dirs: string[]): Promise<RenderedListing> {
  return renderListing(await listPlugins({ dirs: dirs.map((path) => ({ path, given: true })), options: {} }))
}

// G1 rows 13, 20 and 21.
test('a good plugin is one line of the page on stdout, after the directory on stderr', async () => {
  const dir = await dirWith({ 'd7y-resource-plugin-d7yfs.mjs': pluginText('d7yfs', { metadata: PAGE }) })
  expect(await listing(dir)).toEqual({ stdout: [PAGE_LINE], stderr: [`search plugin in ${dir}`], exitCode: 0 })
})

// G1 row 1.
test('a file in the directory of the working home is listed unasked', async () => {
  const workhome = await dirWith({ 'plugins/d7y-resource-plugin-d7yfs.mjs': pluginText('d7yfs', { metadata: PAGE }) })
  const { stdout, stderr } = renderListing(await listPlugins({ dirs: pluginDirs({ workhome }), options: {} }))
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
    'd7y-scheduler-plugin-evaluator.mjs': 'throw new Error("never run")',
    'notes\u001b[2J.txt': '',
    'folder/x': '',
  })
  expect(await listing(dir)).toEqual({
    stdout: [PAGE_LINE],
    stderr: [
      `search plugin in ${dir}`,
      'not support directory: folder',
      'not valid plugin name: notes\\u001b[2J.txt',
      'not valid plugin binary format d7y-resource-plugin-a.mjs: "it cannot be loaded: a is broken"',
      `resource plugin d7yfs, location: d7y-resource-plugin-d7yfs.js, not used: ${join(dir, 'd7y-resource-plugin-d7yfs.mjs')} comes first`,
      'not valid plugin binary format d7y-resource-plugin-z.mjs: "it cannot be loaded: z is broken"',
      'scheduler plugin evaluator, location: d7y-scheduler-plugin-evaluator.mjs, not used: this version loads no scheduler plugins; it was not run',
    ],
    exitCode: 1,
  })
})

test('only broken plugins and directories of the user that cannot be searched make the exit code 1', async () => {
  const dir = await dirWith({ 'notes.txt': '', 'd7y-manager-plugin-searcher.mjs': '' })
  expect((await listing(dir)).exitCode).toBe(0)
  const missing = join(dir, 'missing')
  expect(await listing(missing)).toEqual({
    stdout: [],
    stderr: [`search plugin in ${missing}`, `read plugin dir ${missing} error: it does not exist`],
    exitCode: 1,
  })
  const unasked = renderListing(await listPlugins({ dirs: [{ path: missing, given: false }], options: {} }))
  expect(unasked).toEqual({
    stdout: [],
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
  expect(stdout).toHaveLength(1)
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
    expect(stdout).toEqual([])
    expect(stderr[1]).toMatch(new RegExp(`^resource plugin ${scheme}, .* not used: ${scheme} is built in`))
  }
})

test('metadata cannot write to the terminal', async () => {
  const metadata = "{ type: 'resource', name: 'x', scheme: 'x', vendor: '\\u001b[2J\\u009b1m\\n' }"
  const { stdout } = await listing(await dirWith({ 'd7y-resource-plugin-x.mjs': pluginText('x', { metadata }) }))
  expect(stdout[0]).toContain('"vendor":"\\u001b[2J\\u009b1m\\n"}')
})

import { cp, mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { run, runProgram } from '#devnet'
import { foundAt, type OpenPlugin, openPlugin } from './index.ts'
import { bodyText, dirWith, policyOf, put } from './test-host.ts'

const root = join(import.meta.dirname, '../..')
const example = join(root, 'examples/plugin-d7yfs')
const BUILD = { timeout: 60_000 }

async function load(dir: string, scheme: string): Promise<OpenPlugin> {
  const found = await foundAt(join(dir, `d7y-resource-plugin-${scheme}.mjs`))
  const plugin = await openPlugin(found, { options: {}, policy: policyOf(), warn: () => undefined })
  onTestFinished(() => plugin[Symbol.asyncDispose]())
  return plugin
}

// G1 rows 2 and 19: built apart from the host, loaded by a host that knows nothing of it.
// G1 row 11: the page's sample builds, lists and downloads.
test('the sample, built by its own build script, is listed as on the page and gives hello world', BUILD, async () => {
  const dir = await dirWith()
  const built = await runProgram('dfget', ['plugin', 'build', example, '--out', dir])
  expect(built, built.stderr).toMatchObject({ code: 0 })
  expect(await readdir(dir)).toEqual(['d7y-resource-plugin-d7yfs.mjs'])
  expect(built.stdout).toMatch(
    /^resource plugin d7yfs, location: d7y-resource-plugin-d7yfs\.mjs, attribute: \{"apiVersion":"\^\d+\.\d+\.0","buildCommit":"([0-9a-f]{7,}(-dirty)?|unknown)","buildTime":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ","name":"d7yfs","scheme":"d7yfs","type":"resource","vendor":"d7y"\}\n$/,
  )

  const { client } = await load(dir, 'd7yfs')
  const request = { url: 'd7yfs://host:56001/path/to/resource', headers: {}, signal: AbortSignal.timeout(10_000) }
  expect(await bodyText(client, request)).toBe('hello world')
  expect(await client.getContentLength?.(request)).toBe(11)
  expect(await client.isSupportRange?.(request)).toBe(false)
  await expect(client.isExpired?.(request, {})).rejects.toThrow('implement me')
  await expect(client.getLastModified?.(request)).rejects.toThrow('implement me')
})

// G1 row 14: no path to the host's sources, a version range of the kit is enough.
test("the sample's manifest names the kit by a version range and nothing else", async () => {
  const manifest: Record<string, unknown> = JSON.parse(await readFile(join(example, 'package.json'), 'utf8'))
  expect(manifest).toMatchObject({ devDependencies: { 'dragonfly-ts': expect.stringMatching(/^\^\d+\.\d+\.\d+$/) } })
  expect(manifest).not.toHaveProperty('dependencies')
  expect(JSON.stringify(manifest)).not.toMatch(/file:|link:|\.\.\//)
  expect(await readFile(join(example, 'index.ts'), 'utf8')).not.toMatch(/from '\.\.\//)
})

// G1 row 14 again, and the contract suite on the sample: a project of its own, with the kit as npm would install it.
test(
  'the sample, copied out of this repository, builds with the installed kit and passes the contract suite',
  BUILD,
  async () => {
    const project = await dirWith()
    await cp(example, project, { recursive: true, filter: (path) => !/\/(dist|build\.mjs)$/.test(path) })
    await mkdir(join(project, 'node_modules/.bin'), { recursive: true })
    await symlink(root, join(project, 'node_modules/dragonfly-ts'))
    await symlink(join(root, 'bin/dfget'), join(project, 'node_modules/.bin/dfget'))

    const env = { NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined, VITEST: undefined }
    const { stdout } = await run('npm', ['test'], { cwd: project, env })
    expect(stdout).toMatch(/^# fail 0$/m)
    expect(stdout).toMatch(/ok \d+ - d7yfs gives exactly the bytes of the resource/)
    expect(stdout).not.toContain('not ok')
  },
)

// G1 row 15: third-party packages of the plugin are honoured, by its own versions, on hosts that have none of them.
test('what a plugin imports is bundled: it works where its packages are not installed', BUILD, async () => {
  const project = await dirWith({
    'package.json': '{"name":"d7y-resource-plugin-vers","type":"module"}',
    'index.ts': `import semver from 'semver'
      import type { DragonflyPluginInit as Init } from 'dragonfly-ts/source'
      const body = (url: string) => Buffer.from(semver.inc(new URL(url).hostname, 'minor') ?? 'none')
      export const DragonflyPluginInit: Init = () => ({
        client: { download: async ({ url }) => ({ body: body(url) }) },
        metadata: { type: 'resource', name: 'vers', scheme: 'vers' },
      })`,
  })
  await symlink(join(root, 'node_modules'), join(project, 'node_modules'))
  const installed = await dirWith()
  const built = await runProgram('dfget', ['plugin', 'build', project, '--out', installed])
  expect(built, built.stderr).toMatchObject({ code: 0 })

  const { client } = await load(installed, 'vers')
  const request = { url: 'vers://1.2.3', headers: {}, signal: AbortSignal.timeout(10_000) }
  expect(await bodyText(client, request)).toBe('1.3.0')
})

test('a plugin that was not bundled is told to be', async () => {
  const dir = await dirWith()
  await put(join(dir, 'd7y-resource-plugin-vers.mjs'), "import 'semver'")
  await expect(load(dir, 'vers')).rejects.toThrow("Cannot find package 'semver'")
})

import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const dir = mkdtempSync(join(tmpdir(), 'packaging-'))
const prefix = join(dir, 'prefix')
const installed = join(prefix, 'lib', 'node_modules', 'dragonfly-ts')

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(command: string, args: readonly string[], cwd = dir): Ran {
  const env = { ...process.env, DRAGONFLY_WORKHOME: join(dir, 'home'), DRAGONFLY_BUILD: '' }
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' })
  return { code: status, stdout, stderr }
}

function program(name: string, ...args: string[]): Ran {
  return run(join(prefix, 'bin', name), args)
}

beforeAll(() => {
  const packed = run('npm', ['pack', '--pack-destination', dir], root)
  const tarball = readdirSync(dir).find((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error(`npm pack made nothing: ${packed.stderr}`)
  // With a prefix of its own npm would look there for the settings of this machine too (its certificates, its proxy).
  const settings = run('npm', ['config', 'get', 'globalconfig']).stdout.trim()
  const install = run('npm', [
    'install',
    '-g',
    '--prefix',
    prefix,
    '--globalconfig',
    settings,
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    join(dir, tarball),
  ])
  if (install.code !== 0) throw new Error(`npm install failed: ${install.stderr}`)
}, 300_000)

afterAll(() => rmSync(dir, { recursive: true, force: true }))

test('the package holds what runs and nothing of how it is made', () => {
  for (const name of [
    'bin/dfget',
    'dist/main.mjs',
    'dist/source.mjs',
    'dist/types/source/sdk.d.ts',
    'dist/plugin.mjs',
    'dist/types/plugin/sdk.d.ts',
    'LICENSE',
  ])
    expect(existsSync(join(installed, name)), name).toBe(true)
  for (const name of ['src', 'test', 'devnet', 'tsconfig.json'])
    expect(existsSync(join(installed, name)), name).toBe(false)
})

test.each(['dfget', 'dfdaemon', 'cdn', 'scheduler'])('%s runs from an empty prefix and builds nothing', (name) => {
  expect(program(name, '--help')).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('--workhome') })
  expect(program(name, 'version')).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^dragonfly-ts v\d/),
  })
})

test('an installed dfget brings a file: the addons are there', () => {
  writeFileSync(join(dir, 'origin.txt'), 'hello world')
  const output = join(dir, 'copy.txt')
  const ran = program('dfget', `file://${join(dir, 'origin.txt')}`, '-O', output, '--json')
  expect(ran).toMatchObject({ code: 0 })
  expect(JSON.parse(ran.stdout)).toMatchObject({ success: true, bytes: 11, output })
})

test('an installed dfget makes a plugin project, builds it, and loads a plugin in a process of its own', () => {
  const project = join(dir, 'made')
  expect(program('dfget', 'plugin', 'new', 'made', project)).toMatchObject({ code: 0 })
  const built = program('dfget', 'plugin', 'build', project)
  expect(built, built.stderr).toMatchObject({ code: 0, stdout: expect.stringMatching(/^resource plugin made, /) })
  const plugins = join(dir, 'plugins')
  mkdirSync(plugins)
  writeFileSync(
    join(plugins, 'd7y-resource-plugin-hello.mjs'),
    `export const DragonflyPluginInit = () => ({
      client: { download: async () => ({ body: Buffer.from('hello world') }) },
      metadata: { type: 'resource', name: 'hello', scheme: 'hello' },
    })`,
  )
  const output = join(dir, 'hello.txt')
  const ran = program('dfget', 'hello://world/f', '-O', output, '-p', 'source', '--plugin-dir', plugins)
  expect(ran, ran.stderr).toMatchObject({ code: 0 })
  expect(readFileSync(output, 'utf8')).toBe('hello world')
})

test('an empty TypeScript project can import the kit for plugin authors', () => {
  const project = join(dir, 'project')
  mkdirSync(join(project, 'node_modules'), { recursive: true })
  symlinkSync(installed, join(project, 'node_modules', 'dragonfly-ts'))
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { module: 'nodenext', target: 'es2022', strict: true, noEmit: true } }),
  )
  writeFileSync(
    join(project, 'index.ts'),
    `import type { DragonflyPluginInit, SourceRequest, SourceResponse } from 'dragonfly-ts/source'
import { newResponse, UNKNOWN_SOURCE_FILE_LEN } from 'dragonfly-ts/source'

const download = async (request: SourceRequest): Promise<SourceResponse> =>
  newResponse(new TextEncoder().encode(request.url), { contentLength: UNKNOWN_SOURCE_FILE_LEN })

export const init: DragonflyPluginInit = () => ({
  client: { download },
  metadata: { type: 'resource', name: 'x', scheme: 'x' },
})
// @ts-expect-error what has no client is no plugin: the types are there, and not any
export const wrong: DragonflyPluginInit = () => ({ metadata: {} })
`,
  )
  expect(run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', project])).toEqual({ code: 0, stdout: '', stderr: '' })
})

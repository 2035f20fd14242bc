import { cp, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run, runProgram, tempDir } from '#devnet'
import { expectSuccess, STORY } from './story.ts'

const ROOT = join(import.meta.dirname, '../..')
const LINE =
  /^resource plugin d7yfs, location: d7y-resource-plugin-d7yfs\.mjs, attribute: \{("apiVersion":"\^\d+\.\d+\.0",)?"buildCommit":"\w+","buildTime":"[\dTZ:-]+","name":"d7yfs","scheme":"d7yfs","type":"resource","vendor":"d7y"\}\n/

/** The sample plugin, taken out of this repository, where npm would have installed this package. */
async function authorProject(path: string): Promise<void> {
  const sample = join(ROOT, 'examples/plugin-d7yfs')
  await cp(sample, path, { recursive: true, filter: (from) => !/\/(dist|build\.mjs)$/.test(from) })
  await mkdir(join(path, 'node_modules/.bin'), { recursive: true })
  await symlink(ROOT, join(path, 'node_modules/dragonfly-ts'))
  await symlink(join(ROOT, 'bin/dfget'), join(path, 'node_modules/.bin/dfget'))
}

// G1 rows 11, 15, 18, 19 and 20.
test('one command builds a plugin and checks it, and hosts that run as they are use it', STORY, async () => {
  await using dir = await tempDir('author')
  const [project, workhome] = [dir.join('project'), dir.join('home')]
  await authorProject(project)
  const env = { ...process.env, DRAGONFLY_WORKHOME: workhome }
  const built = await run('npm', ['run', 'build', '--silent'], { cwd: project, env })
  expectSuccess(built)
  expect(built.stdout).toMatch(LINE)
  expect(await readdir(join(project, 'dist'))).toEqual(['d7y-resource-plugin-d7yfs.mjs'])

  await mkdir(workhome, { recursive: true })
  await rename(join(project, 'dist'), join(workhome, 'plugins'))
  const args = ['-u', 'd7yfs://host:56001/path/to/resource', '-O', dir.join('out'), '-p', 'source']
  expectSuccess(await runProgram('dfget', [...args, '--workhome', workhome]))
  expect(await readFile(dir.join('out'), 'utf8')).toBe('hello world')
})

// The same command refuses a plugin that hosts would refuse.
test('the command that builds a plugin fails when the plugin does not keep the contract', STORY, async () => {
  await using dir = await tempDir('author')
  await authorProject(dir.join('project'))
  await writeFile(dir.join('project/index.ts'), 'export const DragonflyPluginInit = () => ({ client: {} })')
  const env = { ...process.env, DRAGONFLY_WORKHOME: dir.join('home') }
  const built = await run('npm', ['run', 'build', '--silent'], { cwd: dir.join('project'), env })
  expect(built.code).toBe(3)
  expect(built.stdout).toBe('')
  expect(built.stderr).toContain('empty plugin metadata: expected type, name and scheme')
})

// G1 rows 1, 20 and 21, on the command line.
test('dfget plugin lists the good on stdout and tells of the broken on stderr', STORY, async () => {
  await using dir = await tempDir('author')
  await mkdir(dir.join('plugins'))
  const good = `export const DragonflyPluginInit = () => ({ client: { async download() {} }, metadata: { vendor: 'd7y',
    buildCommit: 'bb65f13', buildTime: '2021-12-13T08:53:04Z', name: 'd7yfs', scheme: 'd7yfs', type: 'resource' } })`
  await writeFile(dir.join('plugins/d7y-resource-plugin-d7yfs.mjs'), good)
  await writeFile(dir.join('plugins/d7y-resource-plugin-a.mjs'), 'throw new Error("out of order")')
  const { code, stdout, stderr } = await runProgram('dfget', ['plugin', '--workhome', dir.path])
  expect(code).toBe(1)
  expect(stdout).toMatch(LINE)
  expect(stderr.split('\n').slice(0, 2)).toEqual([
    `search plugin in ${dir.join('plugins')}`,
    'not valid plugin binary format d7y-resource-plugin-a.mjs: "it cannot be loaded: out of order"',
  ])
})

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { grantsOf } from './grants.ts'
import { type Enforcement, sandbox } from './sandbox.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'dragonfly-sandbox-'))
  const made = dir
  onTestFinished(() => rm(made, { recursive: true }))
  await mkdir(join(dir, 'plugin'))
  await writeFile(join(dir, 'plugin', 'own.txt'), 'own')
  await writeFile(join(dir, 'secret.txt'), 'secret')
})

interface Tried {
  readonly answer: unknown
  readonly enforcement: Enforcement
}

/** Runs a script as a plugin is run, with these grants; the code of what it throws is its answer. */
async function tried(grants: unknown, script: string, env: NodeJS.ProcessEnv = {}): Promise<Tried> {
  const childFile = join(dir, 'child.mjs')
  const program = `import fs from 'node:fs'
    const attempt = async () => { ${script} }
    attempt().then((answer) => ({ answer }), (error) => ({ answer: error.code ?? error.message }))
      .then((said) => console.log(JSON.stringify(said)))`
  await writeFile(childFile, program)
  const box = sandbox(grantsOf('s', { s: grants }), { childFile, plugin: join(dir, 'plugin'), env })
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...box.execArgv, childFile], { env: box.env })
  expect(stderr).toBe('') // Node has no word to say about its flags
  return { ...(JSON.parse(stdout) as { answer: unknown }), enforcement: box.enforcement }
}

async function answer(grants: unknown, script: string, env?: NodeJS.ProcessEnv): Promise<unknown> {
  return (await tried(grants, script, env)).answer
}

const DENIED = 'ERR_ACCESS_DENIED'
const READ_SECRET = `return fs.readFileSync(dir + '/secret.txt', 'utf8')`

const here = (script: string): string => `const dir = ${JSON.stringify(dir)}; ${script}`

test.each([
  ['a file of the host', READ_SECRET],
  ['a file of the machine', `return fs.readFileSync('/etc/passwd').length`],
  ["its process's environment in /proc", `return fs.readFileSync('/proc/self/environ').length`],
  ['its own file, to write to', `fs.writeFileSync(dir + '/plugin/own.txt', 'changed'); return 'written'`],
  ['another program', `return (await import('node:child_process')).execFileSync('/bin/true').length`],
  [
    'a thread, which would be free of all limits',
    `const { Worker } = await import('node:worker_threads')
     const code = "require('node:worker_threads').parentPort.postMessage(require('node:fs').readFileSync('/etc/passwd'))"
     const worker = new Worker(code, { eval: true, execArgv: [] })
     return (await (await import('node:events')).once(worker, 'message')).length`,
  ],
  ['a native addon', `process.dlopen({ exports: {} }, '/none.node')`],
  ['the inspector', `new (await import('node:inspector')).Session().connect(); return 'connected'`],
  ['WASI', `new (await import('node:wasi')).WASI({ version: 'preview1', preopens: { '/': '/' } }); return 'made'`],
  ["Node's own bindings", `return process.binding('fs').open('/etc/passwd', 0, 0o666, undefined, {})`],
])('without a grant a plugin does not get at %s', async (_, script) => {
  expect(await answer({}, here(`fs.readFileSync(dir + '/plugin/own.txt'); ${script}`))).toMatch(
    /^ERR_(ACCESS_DENIED|DLOPEN_DISABLED)$/,
  )
})

test('what is enforced is told: files and processes, as long as no other program or addon is granted', async () => {
  const { answer: said, enforcement } = await tried({}, here(READ_SECRET))
  expect(said).toBe(DENIED)
  expect(enforcement).toMatchObject({ files: 'enforced', environment: 'enforced', processes: 'enforced' })
  expect(enforcement.network).toBe('not enforced')
  const script = here(
    `return (await import('node:child_process')).execFileSync('/bin/cat', [dir + '/secret.txt']) + ''`,
  )
  const free = await tried({ processes: true }, script)
  expect(free.answer).toBe('secret')
  expect(free.enforcement).toMatchObject({ files: 'not enforced', environment: 'enforced', processes: 'not enforced' })
  expect((await tried({ addons: true }, 'return 1')).enforcement).toEqual(free.enforcement)
})

test('all is all, and nothing but memory is enforced then', async () => {
  const { answer: said, enforcement } = await tried('all', here(`${READ_SECRET} + process.env.X`), { X: '1' })
  expect(said).toBe('secret1')
  const { memory, ...others } = enforcement
  expect(memory).toBe(process.platform === 'linux' ? 'enforced' : 'not enforced')
  expect(new Set(Object.values(others))).toEqual(new Set(['not enforced']))
})

test('the environment is a short list and what was granted; no limit is loosened through it', async () => {
  const neutral = { PATH: '/bin', LC_ALL: 'C', https_proxy: 'http://p' }
  const env = { ...neutral, STORE_KEY: 'k', AWS_A: '1', AWS_B: '2', OTHER: 'x', NODE_OPTIONS: '--allow-child-process' }
  const names = async (grants: object): Promise<unknown> => answer(grants, 'return Object.keys(process.env)', env)
  const sorted = (list: unknown): string[] => (list as string[]).toSorted()
  expect(sorted(await names({}))).toEqual(Object.keys(neutral).toSorted())
  expect(sorted(await names({ environment: ['AWS_*', 'STORE_KEY'] }))).toEqual(
    [...Object.keys(neutral), 'AWS_A', 'AWS_B', 'STORE_KEY'].toSorted(),
  )
  expect(sorted(await names({ environment: ['*'] }))).toEqual(
    Object.keys(env)
      .filter((name) => name !== 'NODE_OPTIONS')
      .toSorted(),
  )
})

test('a plugin whose path has a star, which would let in more than itself, is refused', () => {
  const place = { childFile: '/c.mjs', plugin: '/plugins/st*r', env: {} }
  expect(() => sandbox(grantsOf('s', {}), place)).toThrow(
    expect.objectContaining({ code: 'plugin.refused', message: expect.stringContaining('/plugins/st*r') }),
  )
  expect(() => sandbox(grantsOf('s', { s: 'all' }), place)).not.toThrow()
})

test('what other plugins are told is withheld, whatever is granted', async () => {
  const env = { ...process.env, DRAGONFLY_PLUGINS: '{"other":{"password":"hunter2"}}' }
  const script = 'return process.env.DRAGONFLY_PLUGINS ?? "nothing"'
  expect(await answer('all', script, env)).toBe('nothing')
  expect(await answer({ environment: ['DRAGONFLY_*'] }, script, env)).toBe('nothing')
})

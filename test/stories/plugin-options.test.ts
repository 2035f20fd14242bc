import { readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { devnet, Member, processesNaming, type Ran, runProgram, type TempDir, tempDir } from '#devnet'
import { expectSuccess, STORY } from './story.ts'

const NAME = 'd7y-resource-plugin-store.mjs'
const TOKEN = 't0ken-that-nobody/sees'

/** A plugin that says too much: it prints its token, and repeats it in what it throws. */
const TALKATIVE = `
export const DragonflyPluginOptions = {
  type: 'object', required: ['endpoint', 'token'], additionalProperties: false,
  properties: { endpoint: { type: 'string' }, token: { type: 'string' } },
}
export const DragonflyPluginInit = ({ endpoint, token }) => {
  console.log('talking to', endpoint, 'with', token)
  return {
    client: {
      async download({ url, signal }) {
        const answer = await fetch(endpoint + new URL(url).pathname, { headers: { authorization: 'Bearer ' + token }, signal })
        if (!answer.ok) throw new Error('status ' + answer.status + ' with the token ' + token)
        return { body: answer.body }
      },
    },
    metadata: { type: 'resource', name: 'store', scheme: 'store', vendor: 'made for ' + token },
  }
}
`

/** A store that answers only those who have the token. */
async function startStore(): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(({ url, headers }, response) => {
    const known = headers.authorization === `Bearer ${TOKEN}`
    response.statusCode = url === '/denied' ? 403 : known ? 200 : 401
    response.end(known ? 'what the token opens' : '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

async function writePlugin(dir: TempDir, text: string): Promise<string> {
  await mkdir(dir.join('plugins'), { recursive: true })
  await writeFile(dir.join('plugins', NAME), text)
  return dir.join('plugins')
}

const inProc = (pid: number, file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8')

test('a seed is given a secret by name, uses it, and shows it nowhere', STORY, async () => {
  await using dir = await tempDir('options')
  await using store = await startStore()
  const plugins = await writePlugin(dir, TALKATIVE)
  await using net = await devnet({ peers: 1 })
  await using seed = await Member.start({
    role: 'seed',
    name: 'seed-1',
    workhome: dir.join('seed'),
    schedulerPort: net.scheduler.ready.schedulerPort,
    settings: { plugins: { store: { endpoint: store.url, token: 'env:STORE_TOKEN' } } },
    pluginDirs: [plugins],
    env: { STORE_TOKEN: TOKEN },
  })
  const [peer] = net.peers
  const get = (path: string): Promise<Ran> =>
    peer!.dfget([`store://host${path}`, '-O', dir.join('out'), '--disable-back-source'])
  expectSuccess(await get('/file'))
  expect(await readFile(dir.join('out'), 'utf8')).toBe('what the token opens')
  const denied = await get('/denied')
  expect(denied.code).not.toBe(0)

  const [process = 0] = processesNaming(NAME).filter((pid) => inProc(pid, 'status').includes(`PPid:\t${seed.pid}\n`))
  expect(process).toBeGreaterThan(0)
  expect(inProc(process, 'environ')).toContain('PATH=')
  await expect.poll(() => seed.log(), { timeout: 30_000 }).toContain(`talking to ${store.url}/ with [hidden]`)
  const shown = {
    'the log of the seed': seed.log(),
    'the logs of the others': net.peers[0]!.log() + net.scheduler.log(),
    'what dfget says': denied.stderr + denied.stdout,
    'the command line of the plugin': inProc(process, 'cmdline'),
    'the environment of the plugin': inProc(process, 'environ'),
    'the command line of the seed': inProc(seed.pid, 'cmdline'),
  }
  for (const [where, text] of Object.entries(shown)) expect(text, where).not.toContain(TOKEN)

  const list = [
    'plugin',
    'list',
    '--json',
    '--verbose',
    '--plugin-dir',
    plugins,
    '--config',
    dir.join('seed/config.yaml'),
  ]
  const listed = await runProgram('cdn', list, { env: { STORE_TOKEN: TOKEN } })
  expectSuccess(listed)
  expect(listed.stdout + listed.stderr).not.toContain(TOKEN)
  const { directories } = JSON.parse(listed.stdout) as { directories: { plugins: unknown[] }[] }
  expect(directories[0]?.plugins[0]).toMatchObject({
    options: { endpoint: store.url, token: 'env:STORE_TOKEN' },
    metadata: { vendor: 'made for [hidden]' },
  })
  const unset = await runProgram('cdn', list, { env: { STORE_TOKEN: undefined } })
  expect(unset.code).toBe(1)
  expect(unset.stderr + unset.stdout).toContain(
    'plugins.store.token: env:STORE_TOKEN names an environment variable that is not set',
  )
})

/** Its body is the options it was given; with \`file\` among them, what that file holds. */
const FRANK = `import { readFile } from 'node:fs/promises'
export const DragonflyPluginInit = (options) => ({
  client: {
    async download() {
      return { body: Buffer.from(options.file ? await readFile(options.file) : JSON.stringify(options)) }
    },
  },
  metadata: { type: 'resource', name: 'store', scheme: 'store' },
})
`

test('a flag counts more than the environment, and that more than the file, key by key', STORY, async () => {
  await using dir = await tempDir('options')
  await writePlugin(dir, FRANK)
  await writeFile(dir.join('config.yaml'), 'plugins: { Store: { a: file, b: file, c: file, deep: { x: 1, y: 1 } } }')
  const place = ['-O', dir.join('out'), '-p', 'source', '--workhome', dir.path, '--config', dir.join('config.yaml')]
  const env = { DRAGONFLY_PLUGINS: 'store: { b: environment, c: environment }' }
  const flags = ['store.c=flag', 'store.deep.y=2'].flatMap((option) => ['--plugin-option', option])
  expectSuccess(await runProgram('dfget', ['store://host/f', ...place, ...flags], { env }))
  expect(JSON.parse(await readFile(dir.join('out'), 'utf8'))).toEqual({
    a: 'file',
    b: 'environment',
    c: 'flag',
    deep: { x: 1, y: 2 },
  })
  const wrong = await runProgram('dfget', ['store://host/f', ...place], { env: { DRAGONFLY_PLUGINS: '[hunter2]' } })
  expect(wrong.code).toBe(2)
  expect(wrong.stderr).toContain('DRAGONFLY_PLUGINS')
  expect(wrong.stderr).not.toContain('hunter2')
})

test('a file that a plugin may not read is named with the flag that grants it, and that flag does', STORY, async () => {
  await using dir = await tempDir('options')
  await writePlugin(dir, FRANK)
  const file = dir.join('of the host')
  await writeFile(file, 'its text')
  const args = ['store://host/f', '-O', dir.join('out'), '-p', 'source', '--workhome', dir.path]
  args.push('--plugin-option', `store.file=${file}`)
  const kept = await runProgram('dfget', args)
  expect(kept.code).not.toBe(0)
  expect(kept.stderr).toContain(`it may not read ${file}, which it was not granted`)
  expect(kept.stderr).toContain(`--plugin-grant 'store.files=${file}'`)
  expectSuccess(await runProgram('dfget', [...args, '--plugin-grant', `store.files=${file}`]))
  expect(await readFile(dir.join('out'), 'utf8')).toBe('its text')
})

test('a daemon that runs already keeps its own options, and who gives others is told so', STORY, async () => {
  await using dir = await tempDir('options')
  const plugins = await writePlugin(dir, FRANK)
  const settings = { plugins: { store: { from: 'the daemon' } } }
  await using net = await devnet({ scheduler: false, pluginDirs: { peers: [plugins] }, peerSettings: settings })
  const get = (...more: string[]): Promise<Ran> =>
    net.peers[0]!.dfget(['store://host/f', '-O', dir.join('out'), ...more])
  const note = 'a daemon runs already: --scheduler, --config and --plugin-… are for one that is started'
  const plain = await get()
  expectSuccess(plain)
  expect(plain.stderr).not.toContain(note)
  for (const flag of [
    ['--plugin-option', 'store.from=flag'],
    ['--plugin-grant', 'store=all'],
    ['--plugin-dir', plugins],
  ]) {
    const ran = await get(...flag)
    expectSuccess(ran)
    expect(ran.stderr, flag[0]).toContain(note)
    expect(JSON.parse(await readFile(dir.join('out'), 'utf8'))).toEqual({ from: 'the daemon' })
  }
})

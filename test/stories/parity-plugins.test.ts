import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { devnet, type Member, runProgram, tempDir, until } from '#devnet'
import { expectSuccess, resultOf, STORY, writeSamplePlugin } from './story.ts'

const URL_OF_THE_PAGE = 'd7yfs://host:56001/path/to/resource'

/** A plugin with v2.0.2's five methods, that serves what a JSON file beside it says, and notes each call in another. */
async function writeStorePlugin(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true })
  await writeFile(
    join(dir, 'd7y-resource-plugin-store.mjs'),
    `
import { appendFileSync, readFileSync } from 'node:fs'
const state = () => JSON.parse(readFileSync(${JSON.stringify(join(dir, 'state.json'))}, 'utf8'))
const call = (name) => {
  appendFileSync(${JSON.stringify(join(dir, 'calls'))}, name + '\\n')
  if (state().down) throw Object.assign(new Error('the store is down'), { code: 'source.unreachable' })
}
const client = {
  async getContentLength() { call('getContentLength'); return state().content.length },
  async isSupportRange() { call('isSupportRange'); return false },
  async isExpired(request, info) {
    call('isExpired')
    return info.lastModified !== new Date(state().modified).toUTCString()
  },
  async getLastModified() { call('getLastModified'); return state().modified },
  async download() { call('download'); return { body: new TextEncoder().encode(state().content) } },
}
export function DragonflyPluginInit() {
  return { client, metadata: { type: 'resource', name: 'store', scheme: 'store', vendor: 'test' } }
}
`,
  )
}

interface StoreState {
  readonly content: string
  /** Milliseconds since 1970. */
  readonly modified: number
  readonly down?: boolean
}

// G1 rows 8 and 10, through the methods that v2.0.2's plugins have.
test(
  'a plugin says what is stale: unchanged is not read again, changed is, and down counts as fresh with a warning',
  STORY,
  async () => {
    await using dir = await tempDir('par')
    const plugins = dir.join('plugins')
    await writeStorePlugin(plugins)
    const set = (state: StoreState) => writeFile(join(plugins, 'state.json'), JSON.stringify(state))
    const downloads = async () =>
      (await readFile(join(plugins, 'calls'), 'utf8')).split('\n').filter((name) => name === 'download').length
    const granted = { pluginPolicy: { grants: { store: { files: [plugins], writes: [plugins] } } } }
    await using net = await devnet({
      peers: 1,
      seeds: 1,
      pluginDirs: { peers: [plugins], seeds: [plugins] },
      peerSettings: granted,
      seedSettings: granted,
    })
    const [peer] = net.peers
    const get = async () => {
      const result = resultOf(await peer!.dfget(['store://host/f', '-O', dir.join('f'), '--json']))
      return { ...result, text: await readFile(dir.join('f'), 'utf8') }
    }
    await set({ content: 'first', modified: 1_000_000_000_000 })
    expect((await get()).text).toBe('first')
    expect(await get()).toMatchObject({ text: 'first', bytesLocal: 5 })
    expect(await downloads()).toBe(1)

    // As long as the first, so that only the date tells.
    await set({ content: 'other', modified: 1_000_000_001_000 })
    expect(await get()).toMatchObject({ text: 'other', bytesLocal: 0 })
    expect(await downloads()).toBe(2)

    await set({ content: 'third', modified: 1_000_000_002_000, down: true })
    expect(await get()).toMatchObject({ text: 'other', bytesLocal: 5 })
    expect(await downloads()).toBe(2)
    await until(() => warnings(peer!).some((line) => line.includes('the store is down')))
  },
)

function warnings(member: Member): string[] {
  return member
    .logLines()
    .filter(({ level }) => level === 'warn')
    .map((line) => JSON.stringify(line))
}

// In v2.0.2 the page's own sample ends the CDN here: its IsExpired panics in a background goroutine.
test(
  'the sample of the page serves again after a restart of the cdn, unimplemented methods and all',
  STORY,
  async () => {
    await using dir = await tempDir('par')
    await writeSamplePlugin(dir.join('plugins'))
    await using net = await devnet({ peers: 2, seeds: 1, pluginDirs: { seeds: [dir.join('plugins')] } })
    const [first, second] = net.peers
    const [seed] = net.seeds
    const get = async (peer: Member, name: string) => {
      expect(resultOf(await peer.dfget(['-u', URL_OF_THE_PAGE, '-O', dir.join(name), '--json'])).bytes).toBe(11)
      expect(await readFile(dir.join(name), 'utf8')).toBe('hello world')
    }
    await get(first!, '1')
    await first!.kill('SIGKILL')
    await seed!.restart()
    await get(second!, '2')
    await get(second!, '3')
    expect(seed!.running).toBe(true)
  },
)

// In v2.0.2 a panic in Download is the end of the daemon.
test('a plugin that throws fails its own download and nothing else', STORY, async () => {
  await using dir = await tempDir('par')
  const plugins = dir.join('plugins')
  await writeSamplePlugin(plugins)
  await writeFile(
    join(plugins, 'd7y-resource-plugin-bad.mjs'),
    `export const DragonflyPluginInit = () => ({
      client: { async getContentLength() { return 5 }, async download() { throw new Error('out of paper') } },
      metadata: { type: 'resource', name: 'bad', scheme: 'bad' },
    })`,
  )
  await using net = await devnet({ peers: 1, scheduler: false, pluginDirs: { peers: [plugins] } })
  const [peer] = net.peers
  const failed = await peer!.dfget(['bad://host/f', '-O', dir.join('f')])
  expect(failed.code).not.toBe(0)
  expect(failed.stderr).toContain('out of paper')
  expect(resultOf(await peer!.dfget([URL_OF_THE_PAGE, '-O', dir.join('g'), '--json'])).bytes).toBe(11)
  expect(peer!.running).toBe(true)
})

// G1 rows 1, 20 and 21 for all programs of v2.0.2 that read plugins.
test('all programs list the plugins of the working home alike, and those in the tree after them', STORY, async () => {
  await using dir = await tempDir('par')
  await writeSamplePlugin(dir.join('plugins'))
  for (const program of ['dfget', 'dfdaemon', 'cdn', 'scheduler'] as const) {
    const ran = await runProgram(program, ['plugin', '--workhome', dir.path])
    expectSuccess(ran)
    const [own, ...inTree] = ran.stdout.trim().split('\n')
    expect(own).toMatch(/^resource plugin d7yfs, location: d7y-resource-plugin-d7yfs\.mjs, attribute: \{.*\}$/)
    expect(inTree).toEqual(
      ['http', 'https', 'file'].map((scheme) => {
        const attribute = JSON.stringify({ name: scheme, scheme, type: 'resource', vendor: 'dragonfly-ts' })
        return `resource plugin ${scheme}, location: in-tree, attribute: ${attribute}`
      }),
    )
    expect(ran.stderr.split('\n')[0]).toBe(`search plugin in ${dir.join('plugins')}`)
  }
})

// G1 row 5: options in.
test('the options of a plugin in the settings arrive, in the daemon and in dfget alone', STORY, async () => {
  await using dir = await tempDir('par')
  await mkdir(dir.join('plugins'))
  await writeFile(
    dir.join('plugins/d7y-resource-plugin-notes.mjs'),
    `export const DragonflyPluginInit = (options) => ({
      client: { async download() { return { body: new TextEncoder().encode(options.text) } } },
      metadata: { type: 'resource', name: 'notes', scheme: 'notes' },
    })`,
  )
  const plugins = { notes: { text: 'from the settings' } }
  await using net = await devnet({ peers: 1, pluginDirs: { peers: [dir.join('plugins')] }, peerSettings: { plugins } })
  expectSuccess(await net.peers[0]!.dfget(['notes://host/f', '-O', dir.join('f')]))
  expect(await readFile(dir.join('f'), 'utf8')).toBe('from the settings')

  await writeFile(dir.join('config.yaml'), JSON.stringify({ plugins: { notes: { text: 'from a file' } } }))
  const alone = ['-p', 'source', '--workhome', dir.path, '--config', dir.join('config.yaml')]
  expectSuccess(await runProgram('dfget', ['notes://host/f', '-O', dir.join('g'), ...alone]))
  expect(await readFile(dir.join('g'), 'utf8')).toBe('from a file')
})

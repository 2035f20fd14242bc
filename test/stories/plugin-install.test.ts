import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { devnet, type Ran, runProgram, startOrigin, tempDir } from '#devnet'
import { startNpmRegistry } from './npm-registry.ts'
import { expectSuccess, STORY } from './story.ts'

/** A plugin in one file whose one resource is the text. */
function storeText(text: string, more = '', before = ''): string {
  return `${before}
export const DragonflyPluginInit = (options) => ({
  client: { async download() { return { body: new TextEncoder().encode(${JSON.stringify(text)}) } } },
  metadata: { type: 'resource', name: 'store', scheme: 'store', ${more} },
})
`
}

const NAME = 'd7y-resource-plugin-store.mjs'
const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex')

interface ListedStore {
  readonly state: string
  readonly reason?: string
  readonly sha256: string
  readonly installed?: {
    readonly from: string
    readonly sha256: string
    readonly at: string
    readonly changed: boolean
  }
  readonly [key: string]: unknown
}

/** What `list --json` says of the only plugin of the work home. */
async function listed(...args: string[]): Promise<{ ran: Ran; store: ListedStore | undefined }> {
  const ran = await runProgram('dfget', ['plugin', 'list', '--json', ...args])
  const listing = JSON.parse(ran.stdout) as { directories: { plugins: ListedStore[] }[] }
  return { ran, store: listing.directories[0]?.plugins[0] }
}

test(
  'a plugin goes from a file into the work home, is replaced by a newer one, and is removed again',
  STORY,
  async () => {
    await using dir = await tempDir('install')
    const home = ['--workhome', dir.join('home')]
    await mkdir(dir.join('dist'))
    const [first, second] = [storeText('first'), storeText('second')]
    await writeFile(dir.join('dist', NAME), first)
    const path = dir.join('home/plugins', NAME)

    const installed = await runProgram('dfget', ['plugin', 'install', dir.join('dist', NAME), ...home])
    expectSuccess(installed)
    expect(installed.stdout.split('\n')).toEqual([
      `installed resource plugin store: ${path}`,
      `  from: ${dir.join('dist', NAME)}`,
      `  sha256: ${sha256Of(first)}`,
      '',
    ])
    const get = ['store://host/f', '-O', dir.join('f'), '-p', 'source', ...home]
    expectSuccess(await runProgram('dfget', get))
    expect(await readFile(dir.join('f'), 'utf8')).toBe('first')

    await writeFile(dir.join('dist', NAME), second)
    const again = await runProgram('cdn', ['plugin', 'install', dir.join('dist', NAME), ...home])
    expectSuccess(again)
    expect(again.stdout).toContain(`  replaced: sha256 before: ${sha256Of(first)}\n`)
    const { store } = await listed(...home)
    expect(store).toMatchObject({ state: 'good', sha256: sha256Of(second), installed: { changed: false } })

    const removed = await runProgram('dfget', ['plugin', 'remove', 'store', ...home])
    expectSuccess(removed)
    expect(removed.stdout).toMatch(
      new RegExp(`^removed resource plugin store: the file ${path}, installed \\S+Z from ${dir.join('dist', NAME)}\n$`),
    )
    expect((await readdir(dirname(path))).filter((name) => name.startsWith('d7y'))).toEqual([])
    expect((await listed(...home)).store).toBeUndefined()
    const gone = await runProgram('dfget', ['plugin', 'remove', 'store', ...home])
    expect(gone.code).toBe(2)
    expect(gone.stderr).toContain(`there is no plugin for store in ${dirname(path)}, `)
  },
)

test('a plugin comes from a URL, only with the hash that was expected', STORY, async () => {
  await using dir = await tempDir('install')
  const text = storeText('from a URL')
  await using origin = await startOrigin({ content: { [NAME]: Buffer.from(text) } })
  const url = `${origin.url(NAME)}?token=s3cr3t`
  const install = (...more: string[]): Promise<Ran> =>
    runProgram('dfget', ['plugin', 'install', url, '--workhome', dir.join('home'), ...more])

  const other = await install('--sha256', sha256Of('another'))
  expect(other.code).toBe(1)
  expect(other.stderr).toContain(`${NAME} has the SHA-256 ${sha256Of(text)}, expected ${sha256Of('another')}`)
  expect(existsSync(dir.join('home/plugins', NAME))).toBe(false)

  expect((await install()).stderr).toContain('note: it came over plain http without --sha256')
  expectSuccess(await install('--sha256', sha256Of(text)))
  const { store } = await listed('--workhome', dir.join('home'))
  expect(store?.installed?.from).toBe(url.replace('s3cr3t', '***'))
  const record = await readFile(dir.join('home/plugins/.installed.json'), 'utf8')
  expect(record).not.toContain('s3cr3t')
})

test('a plugin comes from a registry of npm, and nothing of the package but its plugin', STORY, async () => {
  await using dir = await tempDir('install')
  await mkdir(dir.join('npm'))
  const ran = dir.join('ran')
  const text = storeText('from npm')
  const manifest = {
    name: '@me/store',
    version: '1.2.3',
    scripts: { postinstall: `touch ${ran}`, prepack: `touch ${ran}` },
  }
  await using registry = await startNpmRegistry(dir.join('npm'), manifest, { [`dist/${NAME}`]: text, 'index.js': '' })
  // Above the place where npm is run; whose settings npm would take, were it not told where its own are.
  await mkdir(dir.join('home'))
  await writeFile(dir.join('home/package.json'), '{}')
  await writeFile(dir.join('home/.npmrc'), 'offline=true')
  const home = ['--workhome', dir.join('home')]
  const install = (spec: string): Promise<Ran> =>
    runProgram('dfget', ['plugin', 'install', spec, '--json', ...home], { env: registry.env, cwd: dir.path })

  const installed = await install('@me/store@^1.0.0')
  expectSuccess(installed)
  expect(JSON.parse(installed.stdout)).toMatchObject({ success: true, name: 'store', from: 'npm @me/store@1.2.3' })
  expect(registry.asked).toContain('/the.tgz')
  expect(await readFile(dir.join('home/plugins', NAME), 'utf8')).toBe(text)
  expect((await readdir(dir.join('home/plugins'))).toSorted()).toEqual(['.install.lock', '.installed.json', NAME])
  expect(existsSync(ran)).toBe(false)

  for (const spec of ['@me/other', '@me/store@2']) {
    const missing = await install(spec)
    expect(missing.code, missing.stderr).toBe(4)
    expect(JSON.parse(missing.stdout)).toMatchObject({ success: false, code: 'source.not_found' })
  }
})

test('what hosts would refuse is not installed, and what lacks its options only is', STORY, async () => {
  await using dir = await tempDir('install')
  await mkdir(dir.join('dist'))
  const home = ['--workhome', dir.join('home')]
  const install = async (text: string, ...more: string[]): Promise<Ran> => {
    await writeFile(dir.join('dist', NAME), text)
    return runProgram('dfget', ['plugin', 'install', dir.join('dist', NAME), ...home, ...more])
  }
  const broken = await install('throw new Error("out of order")')
  expect(broken.code).toBe(3)
  expect(broken.stderr).toContain(`${NAME} was not installed: it cannot be loaded: out of order\n`)
  const greedy = storeText('x', `permissions: { files: ['/etc/hosts'] }`)
  const ungranted = await install(greedy)
  expect(ungranted.code).toBe(3)
  expect(ungranted.stderr).toMatch(/was not installed: it needs what it was not granted: .*\/etc\/hosts/)
  expect(existsSync(dir.join('home/plugins', NAME))).toBe(false)

  const granted = ['--plugin-grant', 'store.files=/etc/hosts']
  expectSuccess(await install(greedy, ...granted))
  expect((await listed(...home)).store).toMatchObject({
    state: 'refused',
    reason: expect.stringContaining('/etc/hosts'),
  })
  expect((await listed(...home, ...granted)).store).toMatchObject({
    state: 'good',
    permissions: { declared: { files: ['/etc/hosts'] } },
  })

  const schema = `export const DragonflyPluginOptions = { type: 'object', required: ['bucket'] }`
  const lacking = await install(storeText('x', '', schema))
  expectSuccess(lacking)
  expect(lacking.stderr).toMatch(/note: it cannot be used before its options are right: .*bucket/)
  const { ran, store } = await listed(...home)
  expect(ran.code).toBe(1)
  expect(store).toMatchObject({ state: 'refused', reason: expect.stringContaining('bucket') })
  const option = ['--plugin-option', 'store.bucket=b', '--plugin-option', 'store.secretKey=k']
  const good = await listed(...home, ...option)
  expect(good.ran.code, good.ran.stderr).toBe(0)
  expect(good.store).toMatchObject({ state: 'good', options: { bucket: 'b', secretKey: '[hidden]' } })
})

test('a file that was changed since, and a directory that others may write to, are told', STORY, async () => {
  await using dir = await tempDir('install')
  await mkdir(dir.join('dist'))
  await writeFile(dir.join('dist', NAME), storeText('first'))
  const home = ['--workhome', dir.join('home')]
  expectSuccess(await runProgram('dfget', ['plugin', 'install', dir.join('dist', NAME), ...home]))
  await writeFile(dir.join('home/plugins', NAME), storeText('second'))
  const changed = await runProgram('dfget', ['plugin', ...home])
  expectSuccess(changed)
  expect(changed.stderr).toContain(`resource plugin store, location: ${NAME}, changed since it was installed: `)
  expect((await listed(...home)).store?.installed).toMatchObject({
    changed: true,
    sha256: sha256Of(storeText('first')),
  })

  await chmod(dir.join('home/plugins'), 0o777)
  const open = await listed(...home)
  expect(open.ran.code).toBe(1)
  expect(open.store).toMatchObject({ state: 'refused', reason: expect.stringContaining('chmod') })
  const install = await runProgram('dfget', ['plugin', 'install', dir.join('dist', NAME), ...home])
  expect(install.code).toBe(3)
  expect(install.stderr).toContain('chmod')
})

test('a daemon that runs picks up what is installed and removed', STORY, async () => {
  await using dir = await tempDir('install')
  await mkdir(dir.join('plugins'))
  await writeFile(dir.join(NAME), storeText('installed while it ran'))
  await using net = await devnet({ scheduler: false, pluginDirs: { peers: [dir.join('plugins')] } })
  const [peer] = net.peers
  const get = (tag: string): Promise<Ran> => peer!.dfget(['store://host/f', '-O', dir.join('f'), '--tag', tag])
  expect((await get('1')).code).toBe(3)
  const place = ['--plugin-dir', dir.join('plugins')]
  expectSuccess(await runProgram('dfdaemon', ['plugin', 'install', dir.join(NAME), ...place]))
  await expect.poll(async () => (await get('2')).code, { timeout: 30_000 }).toBe(0)
  expect(await readFile(dir.join('f'), 'utf8')).toBe('installed while it ran')
  expectSuccess(await runProgram('dfdaemon', ['plugin', 'remove', 'store', ...place]))
  await expect.poll(async () => (await get('3')).code, { timeout: 30_000 }).toBe(3)
})

test('the help of each level says what there is', STORY, async () => {
  for (const [words, expected] of [
    [
      ['plugin', '--help'],
      ['install', 'remove', 'list', 'Without a command it is list'],
    ],
    [
      ['plugin', 'list', '--help'],
      ['--json', '--plugin-grant', '--verbose'],
    ],
    [
      ['plugin', 'install', '--help'],
      ['--sha256', '--force', '<what>'],
    ],
    [
      ['plugin', 'remove', '--help'],
      ['<scheme>', '--plugin-dir'],
    ],
  ] as const) {
    const ran = await runProgram('scheduler', words)
    expectSuccess(ran)
    for (const text of expected) expect(ran.stdout).toContain(text)
  }
})

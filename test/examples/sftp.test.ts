import { createHash } from 'node:crypto'
import { appendFile, mkdir, symlink, truncate, writeFile } from 'node:fs/promises'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ByteSink, resolveSettings } from '#core'
import { bytesOf, sha256Of, type TempDir, tempDir, until } from '#devnet'
import { createSources, type Entry, type ResourceClient, sourceSettings } from '#source'
import { testSource } from '../../src/source/testing.ts'
import { buildExample, type Built } from './built-example.ts'
import { type Sshd, startSshd } from './sshd.ts'

const MiB = 2 ** 20
const content = { size: 64 * MiB + 17, seed: 'sftp' }
const some = { size: 5 * MiB + 1, seed: 'some' }
const small = new TextEncoder().encode('hello world')

let sshd: Sshd
let built: Built
let temp: TempDir
beforeAll(async () => {
  temp = await tempDir('sftp')
  built = await buildExample('plugin-sftp', temp.join('built'))
  sshd = await startSshd({ 'big.bin': content, 'some.bin': some, 'small.txt': small, empty: new Uint8Array() })
})
afterAll(async () => {
  await sshd?.[Symbol.asyncDispose]()
  await temp?.[Symbol.asyncDispose]()
})

const login = () => ({ user: sshd.user, privateKey: sshd.privateKey, hostKey: sshd.hostKey, idleSeconds: 0.2 })
const request = (url: string, more: object = {}) => ({
  url,
  headers: {},
  signal: new AbortController().signal,
  ...more,
})

async function read(client: ResourceClient, url: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const { body } = await client.download(request(url))
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Code and message of what a plugin with these options says to a URL. */
async function refusal(options: object, url = sshd.url('small.txt')): Promise<{ code: unknown; message: string }> {
  const client = await built.client({ ...options })
  return await read(client, url).then(
    () => expect.fail('it went well'),
    (error: unknown) => error as { code: unknown; message: string },
  )
}

testSource(
  'sftp with a large file, in a process of its own,',
  async () => {
    await sshd.put('changing.bin', content)
    const plugin = await built.open(login())
    return {
      client: plugin.client,
      url: sshd.url('changing.bin'),
      content: bytesOf(content),
      missingUrl: sshd.url('missing'),
      ranges: true,
      change: () => sshd.put('changing.bin', new Uint8Array(9)),
      close: () => plugin[Symbol.asyncDispose](),
    }
  },
  { test },
)

testSource(
  'sftp with an empty file',
  async () => ({ client: await built.client(login()), url: sshd.url('empty'), content: new Uint8Array() }),
  { test },
)

test('what a key lets in, a passphrase in front of it or not, by a reference to the environment', async () => {
  const { text, passphrase } = sshd.lockedKey
  const options = { ...login(), privateKey: 'env:KEY', passphrase: 'env:PASS' }
  await using plugin = await built.open(options, { ...process.env, KEY: text, PASS: passphrase })
  expect(await read(plugin.client, sshd.url('small.txt'))).toEqual(Buffer.from(small))
})

test('a key that is not let in, a wrong password, and nothing at all are denied, and told without the secret', async () => {
  const other = ssh2.utils.generateKeyPairSync('ed25519').private
  const { privateKey: _, ...rest } = login()
  for (const way of [{ privateKey: other }, { password: 'hunter2' }, {}]) {
    const { code, message } = await refusal({ ...rest, ...way })
    expect(code).toBe('source.denied')
    expect(message).toContain(`${sshd.user}@127.0.0.1:${sshd.port} is not let in`)
    expect(message).not.toMatch(/hunter2|PRIVATE/)
  }
})

test('a server whose host key is not the pinned one gets no login', async () => {
  const before = sshd.log()
  const wrong = await refusal({ ...login(), hostKey: `SHA256:${'A'.repeat(43)}` })
  expect(wrong).toMatchObject({ code: 'source.denied', message: expect.stringContaining('somebody else may have') })
  const { hostKey, ...unpinned } = login()
  const unknown = await refusal(unpinned)
  expect(unknown.message).toContain(`127.0.0.1:${sshd.port} shows the host key ${hostKey}, and none is known`)
  expect(unknown.code).toBe('source.denied')
  await until(() => sshd.sessions() === 0)
  expect(sshd.log().slice(before.length)).not.toMatch(/Accepted|Failed/)
  const trusting = await built.client({ ...unpinned, acceptAnyHostKey: true })
  expect(await read(trusting, sshd.url('small.txt'))).toHaveLength(11)
})

test('settings of one server count more than the general ones, and its trust is not widened by them', async () => {
  const { port } = sshd
  const hosts = { '127.0.0.1': { user: 'nobody', hostKey: `SHA256:${'A'.repeat(43)}` } }
  expect((await refusal({ ...login(), hosts })).message).toContain('somebody else')
  const { idleSeconds, ...own } = login()
  const exact = { [`127.0.0.1:${port}`]: own, '127.0.0.1': { user: 'nobody' } }
  expect(await read(await built.client({ idleSeconds, hosts: exact }), sshd.url('small.txt'))).toHaveLength(11)
  const url = new URL(sshd.url('small.txt'))
  url.port = ''
  const onPort = await built.client({ ...login(), hosts: { '127.0.0.1': { port } } })
  expect(await read(onPort, url.href)).toHaveLength(11)
})

test('a password is given as such, and where the server asks for it in a dialogue', async () => {
  for (const method of ['password', 'keyboard-interactive'] as const) {
    await using server = await passwordServer(method, 'hunter2')
    const options = { user: 'ada', hostKey: server.hostKey }
    const client = await built.client({ ...options, password: 'hunter2' })
    // The small server knows no files: getting as far as to be told so takes a login.
    await expect(read(client, server.url)).rejects.toMatchObject({ code: 'source.not_found' })
    expect(await refusal({ ...options, password: 'guess' }, server.url)).toMatchObject({ code: 'source.denied' })
  }
})

test.each([
  [() => sshd.url('missing'), 'source.not_found', /there is nothing at/],
  [() => sshd.url(''), 'source.broken', /is a directory: name a file in it/],
  [() => sshd.url('%zz'), 'source.broken', /write %25 for the sign/],
  [() => `sftp://127.0.0.1:1/file`, 'source.unreachable', /ECONNREFUSED/],
  [() => sshd.url('small.txt').replace('//', '//a:secret@'), 'source.denied', /known to the whole swarm/],
])('%s is told by its code', async (url, code, message) => {
  const failure = await refusal(login(), url())
  expect(failure.code).toBe(code)
  expect(failure.message).toMatch(message)
  expect(failure.message).not.toContain('secret')
})

test('what the server does not allow is denied', async () => {
  await using strict = await startSshd({ f: small }, { denied: 'open,opendir' })
  const options = { user: strict.user, privateKey: strict.privateKey, hostKey: strict.hostKey }
  expect((await refusal(options, strict.url('f'))).code).toBe('source.denied')
})

test('a URL without a user needs one in the options', async () => {
  const { user, ...nameless } = login()
  expect((await refusal(nameless)).message).toContain('nobody is named to log in')
  const client = await built.client(nameless)
  expect(await read(client, sshd.url('small.txt').replace('//', `//${user}@`))).toHaveLength(11)
})

test.each([
  [{ hostKey: 'MD5:ab' }, /hostKey/],
  [{ acceptAnyHostKey: 'perhaps' }, /acceptAnyHostKey/],
  [{ hosts: { a: { colour: 'red' } } }, /hosts.*colour|colour/s],
  [{ privateKey: '/root/.ssh/id_ed25519' }, /write file: in front of it/],
  [{ privateKey: 'file:/nowhere/id' }, /\/nowhere\/id/],
])('options like %j are refused when the plugin is loaded', async (options, reason) => {
  await expect(built.open(options).then((plugin) => plugin[Symbol.asyncDispose]())).rejects.toThrow(reason)
})

test('names may have any character, and a file can be named from the home directory', async () => {
  const name = 'ünï cödé #41%?&+.bin'
  await sshd.put(name, small)
  const client = await built.client(login())
  expect(await read(client, sshd.url(encodeURIComponent(name)))).toHaveLength(11)
  const missing = `sftp://127.0.0.1:${sshd.port}/~/there/is/no/such/file`
  expect((await refusal(login(), missing)).code).toBe('source.not_found')
})

test('a listing has one level, with links followed, and its URLs can be read and listed', async () => {
  await mkdir(`${sshd.root}/dir/below`, { recursive: true })
  await writeFile(`${sshd.root}/dir/a b%.txt`, small)
  await symlink('below', `${sshd.root}/dir/link`)
  await symlink('nowhere', `${sshd.root}/dir/dangling`)
  const client = await built.client(login())
  const entries: Entry[] = []
  for await (const entry of client.list?.(request(sshd.url('dir'))) ?? []) entries.push(entry)
  expect(entries.sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    { url: `${sshd.url('dir')}/a%20b%25.txt`, name: 'a b%.txt', isDirectory: false, contentLength: 11 },
    { url: `${sshd.url('dir')}/below/`, name: 'below', isDirectory: true },
    { url: `${sshd.url('dir')}/dangling`, name: 'dangling', isDirectory: false },
    { url: `${sshd.url('dir')}/link/`, name: 'link', isDirectory: true },
  ])
  expect(await read(client, entries[0]!.url)).toHaveLength(11)
  const missing = client.list?.(request(sshd.url('nodir')))
  await expect(missing?.[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'source.not_found' })
})

test('reads at once share one connection, and it ends when nobody has used it for a while', async () => {
  const client = await built.client(login())
  const before = sshd.logins()
  const all = await Promise.all(Array.from({ length: 8 }, () => read(client, sshd.url('some.bin'))))
  for (const bytes of all) expect(sha256Of(bytes)).toBe(sha256Of(some))
  expect(sshd.logins() - before).toBe(1)
  await until(() => sshd.sessions() === 0, { what: 'the idle connection to end' })
  expect(await client.getContentLength?.(request(sshd.url('small.txt')))).toBe(11)
  expect(sshd.logins() - before).toBe(2)
})

test.each([
  ['is cut', (path: string) => truncate(path, 1000)],
  ['grows', (path: string) => appendFile(path, 'more')],
])('a file that %s while it is read is another one', async (_, change) => {
  await sshd.put('unsteady.bin', { size: 30 * MiB, seed: 'before' })
  const client = await built.client(login())
  const { body } = await client.download(request(sshd.url('unsteady.bin')))
  const chunks = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  await chunks.next()
  await change(`${sshd.root}/unsteady.bin`)
  const rest = (async () => {
    while ((await chunks.next()).done !== true);
  })()
  await expect(rest).rejects.toMatchObject({ code: 'source.changed' })
})

test('a server that is killed and comes back costs a pause: the rest is read, not the whole', async () => {
  await using plugin = await built.open(login())
  const sources = createSources({
    builtIn: [],
    loadPlugin: async () => plugin,
    settings: resolveSettings(sourceSettings, []),
    warn: () => undefined,
  })
  const url = sshd.url('big.bin')
  const source = await sources.for(url)
  const before = sshd.bytesRead()
  const parts: Buffer[] = []
  let killed = false
  const sink = sinkOf(async (bytes, given) => {
    parts.push(Buffer.from(bytes))
    if (killed || given < 20 * MiB) return
    killed = true
    await sshd.kill()
    await sshd.restart()
  })
  await source.read({ url, headers: {} }, sink, { signal: new AbortController().signal })
  expect(sha256Of(Buffer.concat(parts))).toBe(sha256Of(content))
  expect(killed).toBe(true)
  const asked = sshd.bytesRead() - before
  expect(asked).toBeGreaterThanOrEqual(content.size)
  // What was read ahead is lost, and no more.
  expect(asked).toBeLessThan(content.size + 8 * MiB)
})

/** Gives each full buffer away, and waits until it is taken. */
function sinkOf(take: (bytes: Uint8Array, given: number) => Promise<void>): ByteSink {
  const buffer = new Uint8Array(MiB)
  let taking = Promise.resolve()
  let given = 0
  return {
    space: () => buffer,
    filled(length) {
      given += length
      taking = take(buffer.subarray(0, length), given)
      return false
    },
    drained: () => taking,
    full: false,
  }
}

/** A server that lets in by a password alone, as OpenSSH does only for users of the machine. */
async function passwordServer(method: 'password' | 'keyboard-interactive', password: string) {
  const key = ssh2.utils.generateKeyPairSync('ed25519')
  const parsed = ssh2.utils.parseKey(key.public)
  if (parsed instanceof Error) throw parsed
  const hostKey = `SHA256:${createHash('sha256').update(parsed.getPublicSSH()).digest('base64').slice(0, 43)}`
  const server = new ssh2.Server({ hostKeys: [key.private] }, (connection) => {
    connection.on('error', () => undefined)
    connection.on('authentication', (context) => {
      const decide = (right: boolean): void => (right ? context.accept() : context.reject())
      if (context.method !== method) context.reject([method])
      else if (context.method === 'password') decide(context.password === password)
      else if (context.method === 'keyboard-interactive') {
        context.prompt([{ prompt: 'Password: ', echo: false }], ([answer]) => decide(answer === password))
      }
    })
    connection.on('session', (accept) => {
      accept().on('sftp', (acceptSftp) => {
        const sftp = acceptSftp()
        sftp.on('OPEN', (id) => sftp.status(id, ssh2.utils.sftp.STATUS_CODE.NO_SUCH_FILE))
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as { port: number }
  return {
    hostKey,
    url: `sftp://127.0.0.1:${address.port}/file`,
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

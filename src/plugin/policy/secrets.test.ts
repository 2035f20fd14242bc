import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { readSecretFile, redactOptions, scrub, scrubAll } from './secrets.ts'

async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dragonfly-secrets-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  return dir
}

test('a listing shows references, hides values under secret-looking keys, and shows the rest', () => {
  const options = {
    endpoint: 'https://store.example/bucket',
    token: 'env:TOKEN',
    password: 'hunter2',
    apiKey: 'hunter2',
    API_KEY: 'hunter2',
    accessKeyId: 'hunter2',
    Authorization: 'hunter2',
    clientSecret: 7,
    passwords: ['hunter2', 'file:/run/key'],
    credentials: { user: 'hunter2', key: 'env:KEY' },
    users: [{ name: 'me', pwd: 'hunter2' }],
    missing: null,
    secretIsMissing: null,
  }
  expect(redactOptions(options)).toEqual({
    endpoint: 'https://store.example/bucket',
    token: 'env:TOKEN',
    password: '[hidden]',
    apiKey: '[hidden]',
    API_KEY: '[hidden]',
    accessKeyId: '[hidden]',
    Authorization: '[hidden]',
    clientSecret: '[hidden]',
    passwords: ['[hidden]', 'file:/run/key'],
    credentials: { user: '[hidden]', key: 'env:KEY' },
    users: [{ name: 'me', pwd: '[hidden]' }],
    missing: null,
    secretIsMissing: null,
  })
})

test('a listing shows no password and no query value of a URL', () => {
  const shown = JSON.stringify(redactOptions({ endpoint: 'https://me:hunter2@store.example/b?sig=hunter2#hunter2' }))
  expect(shown).toContain('store.example')
  expect(shown).not.toContain('hunter2')
})

test('what holds itself is hidden in a listing', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic['a'] = cyclic
  expect(redactOptions(cyclic)).toBe('[hidden]')
})

test('a secret is taken out of a text in each of its spellings', () => {
  const secret = 'p&ss w"rd/+é'
  for (const spelling of [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret),
    Buffer.from(secret).toString('base64'),
  ]) {
    const text = scrub(`cannot log in as me:${spelling}@host`, [secret])
    expect(text, spelling).toContain('[hidden]')
    expect(text).not.toContain('ss w')
    expect(text).not.toContain(Buffer.from(secret).toString('base64').slice(0, 8))
    expect(text).toMatch(/^cannot log in as me:.*@host$/)
  }
})

test('a secret of several lines is taken out line by line, and as the one line that a message makes of it', () => {
  const key = '-----BEGIN KEY-----\nAAAA1111\nBBBB  2222\n-----END KEY-----'
  expect(scrub('wrong key: BBBB  2222!', [key])).toBe('wrong key: [hidden]!')
  expect(scrub('BBBB 2222', ['BBBB  2222'])).toBe('[hidden]')
  expect(scrub(`bad ${key.replaceAll(/\s+/g, ' ')}.`, [key])).toBe('bad [hidden].')
  expect(scrub(JSON.stringify({ key }), [key])).not.toContain('AAAA')
})

test('of secrets that hold one another the longer one goes first, and nothing of it is left', () => {
  expect(scrub('token abcdef-ghijkl', ['abcdef', 'abcdef-ghijkl'])).toBe('token [hidden]')
  expect(scrub('a hidden word', ['hidden', 'word'])).toBe('a [hidden] [hidden]')
})

test('very short secrets stay: they are in too many words', () => {
  expect(scrub('an abc', ['abc', ''])).toBe('an abc')
  expect(scrub('text', [])).toBe('text')
})

test('no secret of four characters or more is left in a text, whatever characters it has', () => {
  const secret = fc.string({ minLength: 4, maxLength: 40, unit: 'binary' }).filter((text) => text.trim().length >= 4)
  fc.assert(
    fc.property(fc.array(secret, { minLength: 1, maxLength: 4 }), fc.string(), fc.nat(3), (secrets, before, at) => {
      const one = secrets[at % secrets.length]!
      fc.pre(!'[hidden]'.includes(one.trim()) && !before.includes(one.trim()))
      fc.pre(secrets.every((other) => other === one || !one.includes(other.trim())))
      expect(scrub(`${before} ${one} after`, secrets)).not.toContain(one.trim())
    }),
  )
})

test('plain data is cleaned throughout, keys too', () => {
  const data = { a: ['s3cr3t', { s3cr3t: 's3cr3t!' }], n: 1, z: null, t: true }
  expect(scrubAll(data, ['s3cr3t'])).toEqual({
    a: ['[hidden]', { '[hidden]': '[hidden]!' }],
    n: 1,
    z: null,
    t: true,
  })
})

test('a secret is read from a small file of text', async () => {
  const dir = await tempDir()
  await writeFile(join(dir, 'key'), '\ufeffword\nmore\n')
  expect(await readSecretFile(join(dir, 'key'))).toBe('word\nmore\n')
  await writeFile(join(dir, 'largest'), 'x'.repeat(64 * 1024))
  expect(await readSecretFile(join(dir, 'largest'))).toHaveLength(64 * 1024)
})

test.each([
  ['large', 'it has more than 64.0 KiB'],
  ['binary', 'it is not a text in UTF-8'],
  ['.', 'it is not a regular file'],
  ['pipe', 'it is not a regular file'],
  ['/dev/zero', 'it is not a regular file'],
  ['none', 'ENOENT'],
])('no secret is read from what is no such file (%s), and nothing waits for one', async (name, reason) => {
  const dir = await tempDir()
  await writeFile(join(dir, 'large'), 'x'.repeat(64 * 1024 + 1))
  await writeFile(join(dir, 'binary'), Buffer.from([0xff, 0xfe, 0x80]))
  execFileSync('mkfifo', [join(dir, 'pipe')])
  const path = name.startsWith('/') ? name : join(dir, name)
  await expect(readSecretFile(path)).rejects.toThrow(reason)
})

test('what a cut left of a secret is taken out too: a text that is too long for a message ends in the middle of one', () => {
  const secret = 's3cr3t-'.repeat(200)
  for (const length of [4, 10, 500, secret.length - 1])
    expect(scrub(`key ${secret.slice(0, length)}…; mend it`, [secret])).toBe('key [hidden]…; mend it')
  expect(scrub('an honest s3c…', [secret])).toBe('an honest s3c…')
  expect(scrub('s3cr3t-s of others', [secret])).toBe('s3cr3t-s of others')
})

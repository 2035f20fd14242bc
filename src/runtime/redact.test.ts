import { expect, test } from 'vitest'
import { Failure } from '#core'
import { redactFields, redactUrl, redactUrls } from './redact.ts'

const SECRET = 's3cr3t'

test('a URL shows neither user nor password nor what its parameters are set to', () => {
  const shown = redactUrl(`https://me:${SECRET}@host:8443/a/b.bin?X-Signature=${SECRET}&part=2#${SECRET}`)
  expect(shown).not.toContain(SECRET)
  expect(shown).toContain('host:8443/a/b.bin?X-Signature=…&part=…')
  expect(redactUrl('http://host/plain')).toBe('http://host/plain')
  expect(redactUrl('d7yfs://host:56001/path')).toBe('d7yfs://host:56001/path')
  expect(redactUrl('no url')).toBe('no url')
})

test('URLs inside a text are found', () => {
  expect(redactUrls(`reading "http://h/x?k=${SECRET}" failed, then http://u:${SECRET}@h/y`)).not.toContain(SECRET)
})

test('header values, credentials and URLs are hidden however deep they lie', () => {
  const fields = {
    headers: { authorization: `Bearer ${SECRET}`, accept: SECRET },
    requestHeader: { cookie: SECRET },
    nested: { deep: [{ password: SECRET, url: `http://h/?sig=${SECRET}` }], apiKey: SECRET, accessToken: SECRET },
    plain: 'kept',
    count: 3,
  }
  const shown = JSON.stringify(redactFields(fields))
  expect(shown).not.toContain(SECRET)
  expect(redactFields(fields)).toMatchObject({ plain: 'kept', count: 3, headers: { accept: '[hidden]' } })
})

test('an error shows its causes, and its stack only where nobody foresaw it', () => {
  const cause = new Error(`GET http://h/?k=${SECRET} failed`)
  const shown = redactFields({ error: new Failure('source.broken', 'no good', { cause }) })
  expect(shown).toMatchObject({ error: { code: 'source.broken', message: 'no good', cause: { name: 'Error' } } })
  expect(shown['error']).not.toHaveProperty('stack')
  expect(JSON.stringify(shown)).not.toContain(SECRET)
})

test('an object that holds itself, a big number or bytes does not break a line', () => {
  const ring: Record<string, unknown> = { big: 10n, bytes: new Uint8Array(3) }
  ring['self'] = ring
  expect(() => JSON.stringify(redactFields(ring))).not.toThrow()
})

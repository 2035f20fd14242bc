import fc from 'fast-check'
import { expect, test } from 'vitest'
import { redactText, redactUrl } from './redact-url.ts'

test('user names, passwords, query values and fragments are left out', () => {
  expect(redactUrl('https://user:pass@host:8/a/b?token=x&sig=y&token=z#frag')).toBe(
    'https://host:8/a/b?token=***&sig=***&token=***',
  )
  expect(redactUrl('d7yfs://user:pass@host:56001/path')).toBe('d7yfs://host:56001/path')
  expect(redactUrl('file:///a/b')).toBe('file:///a/b')
  expect(redactUrl('no url with a secret')).toBe('a text that is no URL')
  expect(redactUrl(`http://host/${'x'.repeat(5000)}`).length).toBeLessThan(400)
})

test('URLs in the texts of others are redacted, and a text stays one line', () => {
  expect(redactText('GET https://u:p@h/x?k=v failed:\n\tS3://a:b@c/')).toBe(
    'GET https://h/x?k=*** failed: S3://a:b@c/'.replace('S3://a:b@c/', 's3://c/'),
  )
  expect(redactText('x'.repeat(10_000)).length).toBeLessThan(700)
})

test('property: a secret of a URL never comes through', () => {
  const secret = fc.stringMatching(/^[a-zA-Z0-9]{12,20}$/)
  fc.assert(
    fc.property(secret, fc.constantFrom('http', 'd7yfs', 's3+x'), fc.webPath(), (secret, scheme, path) => {
      const url = `${scheme}://user:${secret}@host${path}?key=${secret}#${secret}`
      expect(redactUrl(url).replace(path, '')).not.toContain(secret)
      expect(redactText(`could not read ${url}, sorry`).replace(path, '')).not.toContain(secret)
    }),
  )
})

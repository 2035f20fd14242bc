import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { howToGrant, shellWord } from './shell-word.ts'

test('a shell reads a word as it was', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((word) => !word.includes('\0'))
  const words = fc.sample(text, 100).concat(['', "it's", '$(id)', '-n', '~', 'a b', '*'])
  const printed = execFileSync('sh', ['-c', `printf '%s\\0' ${words.map(shellWord).join(' ')}`]).toString()
  expect(printed.split('\0').slice(0, -1)).toEqual(words)
})

test('what lacks is told as a key and as flags; a path with a comma is for the file alone', () => {
  expect(howToGrant('s', ['files=/etc/x'])).toBe(
    'grant it in the configuration (pluginPolicy.grants.s.files), or with --plugin-grant s.files=/etc/x',
  )
  expect(howToGrant('s', ['files=/a b', 'processes=true'])).toBe(
    "grant it in the configuration (pluginPolicy.grants.s), or with --plugin-grant 's.files=/a b' --plugin-grant s.processes=true",
  )
  expect(howToGrant('s', ['files=/a,b'])).toBe('grant it in the configuration (pluginPolicy.grants.s.files)')
})

import { expect, test } from 'vitest'
import { nearWord } from './near-word.ts'

const names = ['help', 'daemon', 'plugin', 'version', 'completion']

test.each([
  ['dameon', 'daemon'],
  ['Daemon', 'daemon'],
  ['plugins', 'plugin'],
  ['verson', 'version'],
  ['hlp', 'help'],
  ['model', undefined],
  ['file', undefined],
  ['d', undefined],
  ['', undefined],
])('the word "%s" is near to %s', (word, meant) => {
  expect(nearWord(word, names)).toBe(meant)
})

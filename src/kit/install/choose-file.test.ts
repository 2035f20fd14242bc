import { expect, test } from 'vitest'
import { chooseFile, isCandidate } from './choose-file.ts'

const X = 'd7y-resource-plugin-x.mjs'
const Y = 'd7y-resource-plugin-y.mjs'

test('only what is called like a plugin, and ends in .mjs, can be one', () => {
  const paths = [X, `dist/${X}`, 'd7y-scheduler-plugin-evaluator.mjs']
  for (const path of paths) expect(isCandidate(path), path).toBe(true)
  for (const path of ['d7y-resource-plugin-x.js', 'd7y-resource-plugin-x', `${X}.map`, `x${X}`, 'index.mjs', ''])
    expect(isCandidate(path), path).toBe(false)
})

test.each([
  ['in the root', [X], undefined, X],
  ['in dist', [`dist/${X}`], '{"main":"index.js"}', `dist/${X}`],
  ['as main, wherever that is', [`a/b/${X}`], `{"main":"./a/b/${X}"}`, `a/b/${X}`],
  ['as main, of several', [X, `dist/${Y}`], `{"main":"dist/${Y}"}`, `dist/${Y}`],
  ['with a manifest that is no JSON', [X], '{', X],
])('finds the plugin %s', (_, paths, manifest, expected) => {
  expect(chooseFile(paths, manifest)).toBe(expected)
})

test('none, and more than one, are told', () => {
  expect(() => chooseFile([`src/${X}`], '{}')).toThrow(/holds no plugin: expected d7y-/)
  expect(() => chooseFile([X, `dist/${Y}`], undefined)).toThrow(`holds more than one plugin: ${X}, dist/${Y};`)
})

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readConfig } from './config.ts'

const dir = mkdtempSync(join(tmpdir(), 'config-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function file(text: string): string {
  const path = join(dir, 'settings.yaml')
  writeFileSync(path, text)
  return path
}

test('a file becomes plain nested values; an empty one none', () => {
  expect(readConfig(file('upload:\n  port: 4000\nlisten: 0.0.0.0\n')).values).toEqual({
    upload: { port: 4000 },
    listen: '0.0.0.0',
  })
  expect(readConfig(file('# nothing\n')).values).toEqual({})
})

test('a mistake in the YAML is told with file, line and column', () => {
  const path = file('upload:\n  port: 4000\n port: 3\n')
  expect(() => readConfig(path)).toThrow(`${path}:3:1`)
  const twice = file('a: 1\nb: 2\na: 3\n')
  expect(() => readConfig(twice)).toThrow(`${twice}:3:1`)
})

test('a key is found at its place, and what is not there at the deepest part that is', () => {
  const path = file('listen: x\nupload:\n  port: 4000\n')
  const { place } = readConfig(path)
  expect(place('upload.port')).toBe(`${path}:3:3`)
  expect(place('upload.missing')).toBe(`${path}:2:1`)
  expect(place('nowhere')).toBe(`${path}:1:1`)
})

test('a file that is not there, is too long or explodes is refused in words', () => {
  expect(() => readConfig(join(dir, 'none.yaml'))).toThrow(/cannot read the configuration .*none\.yaml.*ENOENT/)
  expect(() => readConfig(file(`a: ${'x'.repeat(2 ** 20)}`))).toThrow(/more than 1048576 bytes/)
  const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]']
  for (let level = 1; level < 9; level++) bomb.push(`a${level}: &a${level} [${`*a${level - 1},`.repeat(10)}]`)
  expect(() => readConfig(file(bomb.join('\n')))).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})

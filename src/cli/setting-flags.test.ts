import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, expect, test } from 'vitest'
import { choice, flag, list, map, number, size, text } from '#core'
import { flagName, loadSettings, settingFlags } from './setting-flags.ts'

const dir = mkdtempSync(join(tmpdir(), 'settings-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const tree = {
  listen: text('127.0.0.1', 'Address.'),
  seed: flag(false, 'Be a seed.'),
  upload: { piecePort: number(4005, 'Port.', { max: 65_535 }), rateLimit: size(0, 'Rate.') },
  scheduler: { addrs: list([], 'Schedulers.') },
  mode: choice('a', ['a', 'b'], 'Mode.'),
  plugins: map('Options.'),
}

function parsed(...words: string[]): unknown {
  const command = new Command('x').exitOverride().configureOutput({ outputError: () => {} })
  const flags = settingFlags(command, tree, { scheduler: 'scheduler.addrs' })
  command.parse(words, { from: 'user' })
  return flags()
}

function file(text: string): string {
  const path = join(dir, 'settings.yaml')
  writeFileSync(path, text)
  return path
}

test('a key becomes a flag by one rule', () => {
  expect(flagName('upload.piecePort')).toBe('upload-piece-port')
  expect(flagName('listen')).toBe('listen')
})

test('every setting has a flag but a map, and the help tells default and choices', () => {
  const command = new Command('x')
  settingFlags(command, tree, { scheduler: 'scheduler.addrs' })
  expect(command.options.map(({ long }) => long)).toEqual([
    '--listen',
    '--seed',
    '--upload-piece-port',
    '--upload-rate-limit',
    '--scheduler-addrs',
    '--scheduler',
    '--mode',
  ])
  expect(command.helpInformation()).toMatch(/--mode <choice>\s+Mode\. One of a, b\. \(default: a\)/)
})

test('flags are one layer of nested values; a list may be given in parts', () => {
  expect(
    parsed('--listen', 'x', '--seed', '--upload-piece-port', '1', '--scheduler', 'a,b', '--scheduler', 'c'),
  ).toEqual({
    listen: 'x',
    seed: '',
    upload: { piecePort: '1' },
    scheduler: { addrs: 'a,b,c' },
  })
  expect(parsed('--seed', 'false')).toEqual({ seed: 'false' })
})

test('flags count more than the file, and the file more than the preset', () => {
  const config = file('listen: file\nupload: { piecePort: 1, rateLimit: 2k }\n')
  const preset = { seed: true, listen: 'preset' }
  const settings = loadSettings(tree, { preset, config, flags: parsed('--upload-piece-port', '7') })
  expect(settings).toMatchObject({ listen: 'file', seed: true, upload: { piecePort: 7, rateLimit: 2048 }, mode: 'a' })
})

test('a bad value of a flag is told with the flag', () => {
  expect(() => parsed('--upload-piece-port', '70000')).toThrow('--upload-piece-port "70000" is not between 0 and 65535')
  expect(() => parsed('--mode', 'c')).toThrow('--mode "c" is none of a, b')
})

test('mistakes in a file are told all at once, each with its line', () => {
  const config = file('listen: x\nuplaod: {}\nupload:\n  piecePort: many\n')
  expect(() => loadSettings(tree, { config, flags: {} })).toThrow(
    new RegExp(`${config}:2:1: uplaod: there is no such setting[^]*${config}:4:3: upload.piecePort: "many" is not`),
  )
})

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { devnet, runProgram, tempDir } from '#devnet'
import { expectSuccess, resultOf, STORY, writeSamplePlugin } from './story.ts'

const URL_OF_THE_PAGE = 'd7yfs://host:56001/path/to/resource'

test('a plugin in the work home serves dfget alone, without a daemon', STORY, async () => {
  await using dir = await tempDir('ways')
  await writeSamplePlugin(dir.join('plugins'))
  const args = ['-u', URL_OF_THE_PAGE, '-O', dir.join('out'), '-p', 'source', '--workhome', dir.path]
  expectSuccess(await runProgram('dfget', args))
  expect(await readFile(dir.join('out'), 'utf8')).toBe('hello world')
})

test('the same plugin file serves the daemon', STORY, async () => {
  await using dir = await tempDir('ways')
  await writeSamplePlugin(dir.join('plugins'))
  await using net = await devnet({ scheduler: false, pluginDirs: { peers: [dir.join('plugins')] } })
  const result = resultOf(await net.peers[0]!.dfget(['-u', URL_OF_THE_PAGE, '-O', dir.join('out'), '--json']))
  expect(result).toMatchObject({ bytes: 11, bytesFromSource: 11 })
  expect(await readFile(dir.join('out'), 'utf8')).toBe('hello world')
})

test('through scheduler and cdn only the cdn needs the plugin file', STORY, async () => {
  await using dir = await tempDir('ways')
  await writeSamplePlugin(dir.join('plugins'))
  await using net = await devnet({ peers: 1, seeds: 1, pluginDirs: { seeds: [dir.join('plugins')] } })
  const [peer] = net.peers
  const alone = await peer!.dfget(['-u', URL_OF_THE_PAGE, '-O', dir.join('no'), '-p', 'source'])
  expect(alone.code).toBe(3)
  expect(alone.stderr).toContain('d7yfs')

  const result = resultOf(await peer!.dfget(['-u', URL_OF_THE_PAGE, '-O', dir.join('out'), '--json']))
  expect(result).toMatchObject({ bytes: 11, bytesFromSource: 0, bytesFromPeers: 11 })
  expect(await readFile(dir.join('out'), 'utf8')).toBe('hello world')
})

test('a scheme that nobody knows is refused by name, with a way out', STORY, async () => {
  await using dir = await tempDir('ways')
  await using net = await devnet({ peers: 1, seeds: 1 })
  const ran = await net.peers[0]!.dfget(['nobody://host/file', '-O', join(dir.path, 'out')])
  expect(ran.code).toBe(3)
  expect(ran.stderr).toMatch(/nobody/)
  expect(ran.stderr).toMatch(/plugin/)
  expect(await dir.files()).toEqual([])
})

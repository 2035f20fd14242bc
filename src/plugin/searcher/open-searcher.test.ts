import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { foundAt } from '../find.ts'
import type { SchedulerCluster } from '../sdk.ts'
import { dirWith, policyOf } from '../test-host.ts'
import { openSearcher, type OpenSearcher } from './open-searcher.ts'

const FILE = 'd7y-manager-plugin-searcher.mjs'
const HOST = { ip: '10.1.2.3', hostname: 'h', idc: 'east', location: 'eu|zone-1', conditions: { tag: 'a' } }
const CLUSTERS: readonly SchedulerCluster[] = ['west', 'east', 'north'].map((idc, id) => ({
  id,
  name: idc,
  isDefault: id === 0,
  scopes: { idc },
  activeSchedulers: 1,
}))

async function searcher(method: string, name = FILE): Promise<OpenSearcher> {
  const dir = await dirWith({
    [name]: `export const DragonflyPluginInit = (options) => ({
      client: { ${method} },
      metadata: { type: 'manager', name: 'searcher' },
    })`,
  })
  const how = { options: { searcher: { far: 'north' } }, policy: policyOf(), warn: () => undefined }
  const opened = await openSearcher(await foundAt(join(dir, name)), how)
  onTestFinished(() => opened[Symbol.asyncDispose]())
  return opened
}

function find(opened: OpenSearcher): Promise<readonly SchedulerCluster[]> {
  return opened.findSchedulerClusters(CLUSTERS, HOST, AbortSignal.timeout(10_000))
}

test.each([
  ['one', '(all, host) => all.find(({ scopes }) => scopes.idc === host.idc)', ['east']],
  ['several, best first', 'async (all) => [all[2], all[0], all[2]]', ['north', 'west']],
  ['none', '() => []', []],
  ['what it made up of one', "() => ({ id: 1, name: 'mine', scopes: {} })", ['east']],
  ['by its options', '(all) => all.filter(({ name }) => name === options.far)', ['north']],
])('a searcher finds %s: ours, as they were given', async (_, how, names) => {
  const opened = await searcher(`findSchedulerCluster: ${how}`)
  const found = await find(opened)
  expect(found.map(({ name }) => name)).toEqual(names)
  for (const cluster of found) expect(CLUSTERS).toContain(cluster)
  expect(opened.plugin).toMatchObject({ type: 'manager', methods: ['findSchedulerCluster'] })
})

test.each([
  ['a stranger', '() => ({ id: 7 })', 'findSchedulerCluster named a number, which it was not given'],
  ['nothing', '() => undefined', 'findSchedulerCluster named undefined, which it was not given'],
  ['a text', "() => 'east'", 'findSchedulerCluster named "east", which it was not given'],
  ['an error', "() => { throw new Error('no such table') }", 'no such table'],
])('a searcher that gives %s fails, with the reason', async (_, how, message) => {
  await expect(find(await searcher(`findSchedulerCluster: ${how}`))).rejects.toThrow(message)
})

test('a searcher that dies is there again for the next question', async () => {
  const opened = await searcher(
    'findSchedulerCluster: (all, host) => (globalThis.x ? process.exit(3) : ((globalThis.x = 1), all))',
  )
  expect(await find(opened)).toHaveLength(3)
  await expect(find(opened)).rejects.toMatchObject({ code: 'plugin.crashed' })
  expect(await find(opened)).toHaveLength(3)
})

test('what is no searcher is refused', async () => {
  await expect(searcher('search: () => []')).rejects.toThrow('invalid client, not a Searcher')
  await expect(searcher('findSchedulerCluster: () => []', 'd7y-scheduler-plugin-evaluator.mjs')).rejects.toMatchObject({
    code: 'usage.invalid',
  })
})

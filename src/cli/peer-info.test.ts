import { expect, test } from 'vitest'
import type { Host, Peer } from '#scheduler'
import { rankingOf } from './peer-info.ts'

const FACTS = {
  id: '10.0.0.1-a',
  seed: false,
  ip: '10.0.0.1',
  port: 4000,
  disableShared: false,
  idc: 'east',
  location: 'eu|zone-1',
  maxTxBps: 1e9,
  publicKey: new Uint8Array(32),
  intervalMs: 60_000,
  uploadLimit: 50,
  message: { hostname: 'a', os: 'linux' },
}

function host(facts: object = {}): Host {
  const uploads = { children: 1, pieces: 2, bytes: 3, owedBytes: 4 }
  return { facts: { ...FACTS, ...facts }, uploads, complaints: new Set(['b']) } as unknown as Host
}

const EDITION = { contentLength: 41, pieceLength: 4 }
const TASK = { id: 't', url: 'http://user:secret@origin/f?sig=secret', tag: 'tag', application: 'app' }

function peer(changes: object = {}): Peer {
  const one = {
    id: 'peer',
    host: host(),
    task: TASK,
    edition: EDITION,
    state: 'running',
    pieces: { size: 7 },
    costs: { meanMs: 10, lastMs: 12, slow: true },
    parents: new Map([[1, 1]]),
    children: new Set([1, 2]),
    priority: 6,
    range: undefined,
  }
  return { ...one, ...changes } as unknown as Peer
}

test('an evaluator is told what a ranking is made from: nothing secret, no address to connect to', () => {
  const { parents, child, task } = rankingOf([peer()], peer({ id: 'child', range: { start: 0, end: 9 } }))
  const facts = {
    id: '10.0.0.1-a',
    hostname: 'a',
    ip: '10.0.0.1',
    os: 'linux',
    idc: 'east',
    location: 'eu|zone-1',
    seed: false,
    uploadLimit: 50,
    uploads: 1,
    uploadPieces: 2,
    uploadBytes: 3,
    owedBytes: 4,
    maxTxBps: 1e9,
    complaints: 1,
  }
  const expected = {
    id: 'peer',
    host: facts,
    state: 'running',
    finishedPieces: 7,
    pieceMs: { mean: 10, last: 12 },
    slow: true,
    parents: 1,
    children: 2,
    priority: 6,
  }
  expect(parents).toEqual([expected])
  expect(child).toEqual({ ...expected, id: 'child', range: { start: 0, end: 9 } })
  expect(task).toEqual({ id: 't', tag: 'tag', application: 'app', contentLength: 41, pieceLength: 4, pieces: 11 })
  expect(JSON.stringify([parents, child, task])).not.toContain('secret')
})

test('what is not known is absent, and no host can make a ranking large', () => {
  const long = 'x'.repeat(100_000)
  const costs = { meanMs: undefined, lastMs: undefined, slow: false }
  const bare = peer({
    edition: undefined,
    costs,
    host: host({ idc: long, location: long, message: { hostname: long, os: long } }),
  })
  const ranking = rankingOf([bare], bare)
  expect(ranking.task).toEqual({ id: 't', tag: 'tag', application: 'app' })
  expect(ranking.parents[0]).not.toHaveProperty('pieceMs')
  expect(JSON.stringify(ranking).length).toBeLessThan(5000)
})

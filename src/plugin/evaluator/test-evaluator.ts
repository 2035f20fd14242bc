import type { PeerInfo } from '../sdk.ts'
import type { Ranking } from './open-evaluator.ts'

export const FILE = 'd7y-scheduler-plugin-evaluator.mjs'

/** The text of an evaluator with these methods, in plain JavaScript. */
export function evaluatorText(methods: string, before = ''): string {
  return `${before}
export const DragonflyPluginInit = (options) => ({
  client: { ${methods} },
  metadata: { type: 'scheduler', name: 'evaluator' },
})
`
}

/** A parent for each data centre, and a child in the first. */
export function rankingOf(...idcs: string[]): Ranking {
  const task = { id: 'a'.repeat(64), tag: '', application: 'app', contentLength: 40, pieceLength: 4, pieces: 10 }
  return { parents: idcs.map(peerInfo), child: peerInfo(idcs[0] ?? '', idcs.length), task }
}

function peerInfo(idc: string, index: number): PeerInfo {
  return {
    id: `peer-${index}`,
    host: {
      id: `host-${index}`,
      hostname: `host-${index}.example`,
      ip: '10.0.0.1',
      os: 'linux',
      idc,
      location: 'eu|zone-1',
      seed: false,
      uploadLimit: 50,
      uploads: index,
      uploadPieces: 0,
      uploadBytes: 0,
      owedBytes: 0,
      maxTxBps: 0,
      complaints: 0,
    },
    state: 'succeeded',
    finishedPieces: 10,
    pieceMs: { mean: 10, last: 12 },
    slow: false,
    parents: 0,
    children: 0,
    priority: 6,
  }
}

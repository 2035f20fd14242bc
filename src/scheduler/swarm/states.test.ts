import { expect, test } from 'vitest'
import {
  isLive,
  isOver,
  nextPeerState,
  nextTaskState,
  PEER_MOVES,
  type PeerEvent,
  type PeerState,
  TASK_MOVES,
  type TaskEvent,
  type TaskState,
} from './states.ts'

const PEER_STATES: PeerState[] = [
  'pending',
  'received-empty',
  'received-normal',
  'running',
  'back-to-source',
  'succeeded',
  'failed',
  'left',
]

/** wire.md §6.7, and the events that change nothing. */
const PEER_TABLE = `
register-empty: pending→received-empty
register-normal: pending→received-normal
start: received-empty→running received-normal→running running→running
read-source: received-empty→back-to-source received-normal→back-to-source running→back-to-source back-to-source→back-to-source
succeed: received-empty→succeeded received-normal→succeeded running→succeeded back-to-source→succeeded
fail: pending→failed received-empty→failed received-normal→failed running→failed back-to-source→failed succeeded→failed
leave: pending→left received-empty→left received-normal→left running→left back-to-source→left succeeded→left failed→left
`

test('a peer moves as the table says, and in no other way', () => {
  const events = Object.keys(PEER_MOVES) as PeerEvent[]
  expect(table(events, PEER_STATES, nextPeerState)).toBe(PEER_TABLE)
})

const TASK_TABLE = `
download: pending→running succeeded→running failed→running left→running
succeed: running→succeeded failed→succeeded left→succeeded
fail: running→failed
leave: pending→left running→left succeeded→left failed→left
`

test('a task moves as the table says, and in no other way', () => {
  const events = Object.keys(TASK_MOVES) as TaskEvent[]
  const states: TaskState[] = ['pending', 'running', 'succeeded', 'failed', 'left']
  expect(table(events, states, nextTaskState)).toBe(TASK_TABLE)
})

test('nothing follows the last words of a peer but leaving, and failing where it had succeeded', () => {
  for (const state of PEER_STATES.filter(isOver)) {
    const events = (Object.keys(PEER_MOVES) as PeerEvent[]).filter((event) => nextPeerState(state, event) !== undefined)
    expect(events).toEqual(state === 'succeeded' ? ['fail', 'leave'] : state === 'failed' ? ['leave'] : [])
  }
  expect(PEER_STATES.filter((state) => !isLive(state))).toEqual(['failed', 'left'])
})

function table<S extends string, E extends string>(
  events: readonly E[],
  states: readonly S[],
  next: (state: S, event: E) => S | undefined,
): string {
  const rows = events.map((event) => {
    const moves = states.flatMap((state) => {
      const to = next(state, event)
      return to === undefined ? [] : [`${state}→${to}`]
    })
    return `${event}: ${moves.join(' ')}`
  })
  return `\n${rows.join('\n')}\n`
}

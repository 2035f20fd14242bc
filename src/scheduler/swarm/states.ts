/** What may follow which state, for peers and tasks (wire.md §6.7). What is not listed cannot happen. */

export type PeerState =
  | 'pending'
  | 'received-empty'
  | 'received-normal'
  | 'running'
  | 'back-to-source'
  | 'succeeded'
  | 'failed'
  | 'left'

export type PeerEvent = 'register-empty' | 'register-normal' | 'start' | 'read-source' | 'succeed' | 'fail' | 'leave'

export const PEER_MOVES: Record<PeerEvent, Partial<Record<PeerState, PeerState>>> = {
  'register-empty': { pending: 'received-empty' },
  'register-normal': { pending: 'received-normal' },
  // A peer says "started" after every list of parents, so also while it runs.
  start: { 'received-empty': 'running', 'received-normal': 'running', running: 'running' },
  // The scheduler moves a peer when it sends it to the source; the peer's own word then changes nothing.
  'read-source': {
    'received-empty': 'back-to-source',
    'received-normal': 'back-to-source',
    running: 'back-to-source',
    'back-to-source': 'back-to-source',
  },
  succeed: {
    'received-empty': 'succeeded',
    'received-normal': 'succeeded',
    running: 'succeeded',
    'back-to-source': 'succeeded',
  },
  fail: {
    pending: 'failed',
    'received-empty': 'failed',
    'received-normal': 'failed',
    running: 'failed',
    'back-to-source': 'failed',
    succeeded: 'failed',
  },
  leave: {
    pending: 'left',
    'received-empty': 'left',
    'received-normal': 'left',
    running: 'left',
    'back-to-source': 'left',
    succeeded: 'left',
    failed: 'left',
  },
}

/** The state after `event`, or undefined when it cannot happen in `state`. */
export function nextPeerState(state: PeerState, event: PeerEvent): PeerState | undefined {
  return PEER_MOVES[event][state]
}

export type TaskState = 'pending' | 'running' | 'succeeded' | 'failed' | 'left'
export type TaskEvent = 'download' | 'succeed' | 'fail' | 'leave'

export const TASK_MOVES: Record<TaskEvent, Partial<Record<TaskState, TaskState>>> = {
  download: { pending: 'running', succeeded: 'running', failed: 'running', left: 'running' },
  succeed: { running: 'succeeded', failed: 'succeeded', left: 'succeeded' },
  fail: { running: 'failed' },
  leave: { pending: 'left', running: 'left', succeeded: 'left', failed: 'left' },
}

/** The state after `event`, or undefined when it cannot happen in `state`. */
export function nextTaskState(state: TaskState, event: TaskEvent): TaskState | undefined {
  return TASK_MOVES[event][state]
}

/** True while the peer may still get or give bytes. */
export function isLive(state: PeerState): boolean {
  return state !== 'failed' && state !== 'left'
}

/** True once the peer has said its last word about the download. */
export function isOver(state: PeerState): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'left'
}

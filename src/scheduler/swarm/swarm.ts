import type { Priority } from '#api'
import { type ByteRange, Failure } from '#core'
import { Bell } from './bell.ts'
import { CostRecord } from './cost-record.ts'
import { addEdge, removeEdge } from './edges.ts'
import { agrees, holdsOrReads, isForgotten, isReading, newEdition, offers } from './editions.ts'
import { hasRoom, newHost } from './hosts.ts'
import type { Description, Edition, Host, HostFacts, Peer, Task } from './model.ts'
import { PieceSet } from './piece-set.ts'
import { SmallSet } from './small-set.ts'
import { isOver, nextPeerState, nextTaskState, type PeerEvent, type TaskEvent } from './states.ts'

/** More than this many are refused with `scheduler.full`. */
export interface SwarmBounds {
  readonly hosts: number
  readonly tasks: number
  readonly peers: number
  readonly peersPerTask: number
}

export interface TaskWish {
  readonly id: string
  readonly url: string
  readonly tag: string
  readonly application: string
  readonly filteredQueryParams: readonly string[]
}

export interface PeerWish {
  readonly id: string
  readonly range: ByteRange | undefined
  readonly priority: Priority
  readonly concurrentPieces: number
  readonly wantsSource: boolean
  readonly sourceForbidden: boolean
}

/** Editions of one task at a time. More than two mean that the origin, or a peer, plays games. */
const MAX_EDITIONS = 16
const MAX_BLOCKED = 1000

/**
 * Who takes part in which download, and who gives to whom. All changes go through here, one at a time; every one of
 * them leaves it consistent: edges are symmetric, and every peer belongs to a known host. Peers may get from one another:
 * that none of them is left without a way to what somebody holds or reads is for `findParents` to see to.
 */
export class Swarm {
  readonly hosts = new Map<string, Host>()
  readonly seeds = new Set<Host>()
  readonly tasks = new Map<string, Task>()
  readonly #bounds: SwarmBounds
  #peerCount = 0

  constructor(bounds: SwarmBounds) {
    this.#bounds = bounds
  }

  get peerCount(): number {
    return this.#peerCount
  }

  announce(facts: HostFacts, nowMs: number): Host {
    const known = this.hosts.get(facts.id)
    if (known !== undefined) {
      known.facts = facts
      known.written = undefined
      known.announcedAtMs = nowMs
      this.#sortOut(known)
      for (const peer of known.peers) this.#refresh(peer)
      return known
    }
    if (this.hosts.size >= this.#bounds.hosts) throw full('hosts', this.#bounds.hosts)
    const host = newHost(facts, nowMs)
    this.hosts.set(host.id, host)
    this.#sortOut(host)
    return host
  }

  /** The host and all its peers are forgotten. */
  removeHost(host: Host, nowMs: number): void {
    for (const peer of host.peers) {
      this.move(peer, 'leave', nowMs)
      this.removePeer(peer)
    }
    this.hosts.delete(host.id)
    this.seeds.delete(host)
  }

  openTask(wish: TaskWish, nowMs: number): Task {
    const known = this.tasks.get(wish.id)
    if (known !== undefined) {
      known.touchedAtMs = nowMs
      return known
    }
    if (this.tasks.size >= this.#bounds.tasks) throw full('tasks', this.#bounds.tasks)
    const task: Task = {
      ...wish,
      state: 'pending',
      editions: [],
      peers: new Map(),
      seedRuns: new Set(),
      failedSeeds: new Map(),
      lastWish: undefined,
      bell: new Bell(),
      createdAtMs: nowMs,
      touchedAtMs: nowMs,
    }
    this.tasks.set(task.id, task)
    return task
  }

  removeTask(task: Task): void {
    for (const peer of task.peers.values()) this.removePeer(peer)
    this.tasks.delete(task.id)
  }

  openPeer(task: Task, host: Host, wish: PeerWish, nowMs: number): Peer {
    const known = task.peers.get(wish.id)
    if (known !== undefined) this.#replace(known, host, nowMs)
    if (task.peers.size >= this.#bounds.peersPerTask) throw full('peers of one task', this.#bounds.peersPerTask)
    if (this.#peerCount >= this.#bounds.peers) throw full('peers', this.#bounds.peers)
    const peer = newPeer(task, host, wish, nowMs)
    task.peers.set(peer.id, peer)
    host.peers.add(peer)
    this.#peerCount++
    return peer
  }

  removePeer(peer: Peer): void {
    if (!peer.task.peers.delete(peer.id)) return
    peer.host.peers.delete(peer)
    this.unlinkParents(peer)
    this.#unlinkChildren(peer)
    forget(peer)
    this.#peerCount--
    peer.task.bell.ring()
  }

  /** Does what the event does to the peer; false when it cannot happen in its state. */
  move(peer: Peer, event: PeerEvent, nowMs: number): boolean {
    const state = nextPeerState(peer.state, event)
    if (state === undefined) return false
    peer.touchedAtMs = nowMs
    if (state === peer.state) return true
    peer.state = state
    peer.progressAtMs = nowMs
    peer.rootAtMs = holdsOrReads(state) ? nowMs : undefined
    // Edges are kept by those who fetch; who reads the origin, is done or is gone needs no parents.
    if (state === 'back-to-source' || isOver(state)) this.unlinkParents(peer)
    if (state === 'failed' || state === 'left') this.#unlinkChildren(peer)
    this.#refresh(peer)
    // There may be room at its parents, or nobody left to wait for.
    if (state === 'back-to-source' || isOver(state)) peer.task.bell.ring()
    return true
  }

  moveTask(task: Task, event: TaskEvent): void {
    task.state = nextTaskState(task.state, event) ?? task.state
  }

  /** The edition that was described, made now if it is new. */
  edition(task: Task, description: Description): Edition {
    const known = task.editions.find((edition) => agrees(edition, description))
    if (known !== undefined) return known
    if (task.editions.length >= MAX_EDITIONS) this.#forgetEdition(task)
    const edition = newEdition(description)
    task.editions.push(edition)
    return edition
  }

  join(peer: Peer, edition: Edition): void {
    if (peer.edition === edition) return
    this.unlinkParents(peer)
    this.#unlinkChildren(peer)
    forget(peer)
    peer.edition = edition
    edition.peers.add(peer)
    edition.joinedAtMs = Math.max(edition.joinedAtMs, peer.createdAtMs)
    this.#refresh(peer)
  }

  /** `child` may fetch from `parent` from now on. */
  link(parent: Peer, child: Peer): void {
    if (parent === child || child.parents.has(parent)) return
    // Whoever waits may get from the child by now what its new parent has.
    const first = child.parents.size === 0
    addEdge(parent, child)
    if (first) child.task.bell.ring()
  }

  unlink(parent: Peer, child: Peer): void {
    if (!child.parents.has(parent)) return
    const full = !hasRoom(parent.host)
    removeEdge(parent, child)
    if (full && hasRoom(parent.host)) parent.task.bell.ring()
  }

  unlinkParents(child: Peer): void {
    for (let parent = child.parents.last; parent !== undefined; parent = child.parents.last) this.unlink(parent, child)
  }

  /** Its origin-read pieces cannot be checked by others, or can again. */
  setUnproven(peer: Peer, unproven: boolean): void {
    peer.unproven = unproven
    this.#refresh(peer)
  }

  /**
   * `child` is not given this parent again, and has no use for it now. With a time: only until that parent reads the
   * origin or is done, if it was not then.
   */
  block(child: Peer, parentId: string, atMs = Number.POSITIVE_INFINITY): void {
    const blocked = (child.blockedPeers ??= new Map<string, number>())
    if (blocked.size < MAX_BLOCKED || blocked.has(parentId)) blocked.set(parentId, atMs)
    const parent = child.parents.find(({ id }) => id === parentId)
    if (parent !== undefined) this.unlink(parent, child)
  }

  blockHost(child: Peer, host: Host): void {
    const blocked = (child.blockedHosts ??= new Set<string>())
    if (blocked.size < MAX_BLOCKED) blocked.add(host.id)
  }

  #sortOut(host: Host): void {
    if (host.facts.seed) this.seeds.add(host)
    else this.seeds.delete(host)
  }

  #replace(known: Peer, host: Host, nowMs: number): void {
    if (known.host !== host) {
      throw new Failure('usage.invalid', `peer ${known.id} belongs to host ${known.host.id}, not to ${host.id}`)
    }
    this.move(known, 'leave', nowMs)
    this.removePeer(known)
  }

  #unlinkChildren(parent: Peer): void {
    for (let child = parent.children.last; child !== undefined; child = parent.children.last) this.unlink(parent, child)
  }

  #refresh(peer: Peer): void {
    const { edition } = peer
    if (edition === undefined) return
    const known = peer.task.peers.get(peer.id) === peer
    const offering = known && offers(peer)
    const root = offering && holdsOrReads(peer.state)
    if (root && !edition.roots.has(peer)) peer.task.bell.ring()
    sort(peer, edition.reading, known && isReading(peer))
    sort(peer, edition.offering, offering)
    sort(peer, edition.roots, root)
  }

  #forgetEdition(task: Task): void {
    const index = task.editions.findIndex(isForgotten)
    if (index < 0) throw full('editions of one task', MAX_EDITIONS)
    const [forgotten] = task.editions.splice(index, 1)
    for (const peer of forgotten?.peers ?? []) this.removePeer(peer)
  }
}

/**
 * Every field by its name: what V8 (of Node 20) makes of `{ ...wish, … }` has a hidden class of its own each time, so
 * that with ten thousand peers no access to one of them is a cached one, and each carries a list of its fields.
 */
function newPeer(task: Task, host: Host, wish: PeerWish, nowMs: number): Peer {
  return {
    id: wish.id,
    host,
    task,
    idc: host.facts.idc.toLowerCase(),
    range: wish.range,
    priority: wish.priority,
    concurrentPieces: wish.concurrentPieces,
    wantsSource: wish.wantsSource,
    sourceForbidden: wish.sourceForbidden,
    createdAtMs: nowMs,
    state: 'pending',
    edition: undefined,
    unproven: false,
    connected: true,
    pieces: new PieceSet(),
    costs: new CostRecord(),
    parents: new SmallSet(),
    children: new SmallSet(),
    load: undefined,
    via: undefined,
    blockedPeers: undefined,
    blockedHosts: undefined,
    rootAtMs: undefined,
    touchedAtMs: nowMs,
    progressAtMs: nowMs,
  }
}

/** Puts it in, or takes it out. */
function sort(peer: Peer, set: { add(peer: Peer): unknown; delete(peer: Peer): unknown }, belongs: boolean): void {
  if (belongs) set.add(peer)
  else set.delete(peer)
}

function forget(peer: Peer): void {
  peer.edition?.peers.delete(peer)
  peer.edition?.reading.delete(peer)
  peer.edition?.offering.delete(peer)
  peer.edition?.roots.delete(peer)
}

function full(what: string, limit: number): Failure {
  return new Failure('scheduler.full', `this scheduler already keeps ${limit} ${what}, and takes no more`)
}

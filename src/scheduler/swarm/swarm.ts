import type { Priority } from '#api'
import { type ByteRange, Failure, pieceLengthFor } from '#core'
import { Bell } from './bell.ts'
import { CostRecord } from './cost-record.ts'
import { agrees, isForgotten, isReading, newEdition, offers } from './editions.ts'
import { newHost } from './hosts.ts'
import type { Description, EdgeLoad, Edition, Host, HostFacts, Peer, Task } from './model.ts'
import { PieceSet } from './piece-set.ts'
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
 * them leaves it consistent: edges are symmetric and without cycles, and every peer belongs to a known host.
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
    const peer: Peer = {
      ...wish,
      host,
      task,
      createdAtMs: nowMs,
      state: 'pending',
      edition: undefined,
      unproven: false,
      connected: true,
      pieces: new PieceSet(),
      costs: new CostRecord(),
      parents: new Map(),
      children: new Set(),
      blockedPeers: new Set([wish.id]),
      blockedHosts: new Set(),
      touchedAtMs: nowMs,
      progressAtMs: nowMs,
    }
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
    this.#refresh(peer)
  }

  /** Makes `parent` give to `child`. The caller has made sure that no cycle comes of it (`descendants`). */
  link(parent: Peer, child: Peer): void {
    if (child.parents.has(parent)) return
    const load = edgeLoad(child)
    child.parents.set(parent, load)
    parent.children.add(child)
    addLoad(parent.host, load, 1)
    this.#refresh(child)
  }

  unlinkParents(child: Peer): void {
    if (child.parents.size === 0) return
    for (const parent of child.parents.keys()) this.#unlink(parent, child)
  }

  /** Its origin-read pieces cannot be checked by others, or can again. */
  setUnproven(peer: Peer, unproven: boolean): void {
    peer.unproven = unproven
    this.#refresh(peer)
  }

  /** `child` is not given `parent` again. */
  block(child: Peer, parentId: string): void {
    if (child.blockedPeers.size < MAX_BLOCKED) child.blockedPeers.add(parentId)
  }

  blockHost(child: Peer, host: Host): void {
    if (child.blockedHosts.size < MAX_BLOCKED) child.blockedHosts.add(host.id)
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
    for (const child of parent.children) this.#unlink(parent, child)
  }

  #unlink(parent: Peer, child: Peer): void {
    const load = child.parents.get(parent)
    if (load === undefined) return
    child.parents.delete(parent)
    parent.children.delete(child)
    addLoad(parent.host, load, -1)
    this.#refresh(child)
  }

  #refresh(peer: Peer): void {
    const { edition } = peer
    if (edition === undefined) return
    const known = peer.task.peers.get(peer.id) === peer
    if (known && isReading(peer)) edition.reading.add(peer)
    else edition.reading.delete(peer)
    const before = edition.offering.has(peer)
    if (known && offers(peer)) edition.offering.add(peer)
    else edition.offering.delete(peer)
    if (!before && edition.offering.has(peer)) peer.task.bell.ring()
  }

  #forgetEdition(task: Task): void {
    const index = task.editions.findIndex(isForgotten)
    if (index < 0) throw full('editions of one task', MAX_EDITIONS)
    const [forgotten] = task.editions.splice(index, 1)
    for (const peer of forgotten?.peers ?? []) this.removePeer(peer)
  }
}

/** The peers that get bytes from `peer`, over any number of others, and itself: none of them can be its parent. */
export function descendants(peer: Peer): Set<Peer> {
  const found = new Set([peer])
  for (const next of found) for (const child of next.children) found.add(child)
  return found
}

/** Pieces of an edition have this length. */
export function pieceLengthOf(edition: Edition): number {
  return edition.pieceLength ?? pieceLengthFor(edition.contentLength)
}

function forget(peer: Peer): void {
  peer.edition?.peers.delete(peer)
  peer.edition?.reading.delete(peer)
  peer.edition?.offering.delete(peer)
}

function edgeLoad(child: Peer): EdgeLoad {
  const bytes = (child.edition === undefined ? 0 : pieceLengthOf(child.edition)) * child.concurrentPieces
  return { pieces: child.concurrentPieces, bytes, owedBytes: child.edition?.contentLength ?? bytes }
}

function addLoad(host: Host, load: EdgeLoad, sign: 1 | -1): void {
  host.uploads.children += sign
  host.uploads.pieces += sign * load.pieces
  host.uploads.bytes += sign * load.bytes
  host.uploads.owedBytes += sign * load.owedBytes
}

function full(what: string, limit: number): Failure {
  return new Failure('scheduler.full', `this scheduler already keeps ${limit} ${what}, and takes no more`)
}

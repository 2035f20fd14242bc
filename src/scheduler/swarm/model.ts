import type { Download, Host as HostMessage, Priority } from '#api'
import type { ByteRange } from '#core'
import type { Bell } from './bell.ts'
import type { CostRecord } from './cost-record.ts'
import type { PieceSet } from './piece-set.ts'
import type { SampleSet } from './sample-set.ts'
import type { SmallSet } from './small-set.ts'
import type { PeerState, TaskState } from './states.ts'

/** What a host said of itself at its last announcement; checked at the edge. */
export interface HostFacts {
  readonly id: string
  readonly seed: boolean
  readonly ip: string
  readonly port: number
  /** Nobody may fetch from it. */
  readonly disableShared: boolean
  readonly idc: string
  /** Parts from the widest to the narrowest, with "|" between them. */
  readonly location: string
  /** Bits per second; 0 when not known. */
  readonly maxTxBps: number
  /** Raw Ed25519 key, 32 bytes; stock hosts have none. */
  readonly publicKey: Uint8Array | undefined
  /** Time until the next announcement. */
  readonly intervalMs: number
  /** How many children it may have at once. */
  readonly uploadLimit: number
  /** As it came, to be handed on to children. */
  readonly message: HostMessage
}

/** A machine's daemon, known for as long as it announces itself. */
export interface Host {
  readonly id: string
  facts: HostFacts
  announcedAtMs: number
  touchedAtMs: number
  readonly peers: Set<Peer>
  /** What its peers' children take of it, all tasks together. */
  readonly uploads: Uploads
  /** Hosts that could not fetch from it since the last one that could. */
  readonly complaints: SmallSet<string>
  /** What it said of itself as children are told of it, a byte each character; undefined until one is. */
  written: string | undefined
  /** A seed that could not be reached is left alone until then. */
  downUntilMs: number
}

export interface Uploads {
  children: number
  /** Pieces at once. */
  pieces: number
  /** Bytes at once. */
  bytes: number
  /** Bytes altogether, as far as known. */
  owedBytes: number
}

/** What a child takes of the host of each of its parents. */
export type EdgeLoad = Readonly<Omit<Uploads, 'children'>>

/** A resource that is to be had, in one edition or, while the origin changes, several. */
export interface Task {
  readonly id: string
  readonly url: string
  readonly tag: string
  readonly application: string
  readonly filteredQueryParams: readonly string[]
  state: TaskState
  readonly editions: Edition[]
  readonly peers: Map<string, Peer>
  readonly seedRuns: Set<SeedRun>
  /** Seeds that could not bring it, until when they are not asked again, and why. */
  readonly failedSeeds: Map<string, { readonly untilMs: number; readonly why: string }>
  /** What the last child wanted, as a seed is told of it; kept once for all that want the same. */
  lastWish: { readonly bytes: Uint8Array; readonly download: Download } | undefined
  /** Rings when a waiting child may find something new. */
  readonly bell: Bell
  readonly createdAtMs: number
  touchedAtMs: number
}

/** How a host described the origin. */
export interface Description {
  /** See `versionOf`; empty when the origin gives no validators. */
  readonly version: string
  readonly etag: string
  readonly lastModified: string
  /** Bytes; undefined when the origin does not tell. */
  readonly contentLength: number | undefined
  /** Bytes; undefined when the host did not tell. */
  readonly pieceLength: number | undefined
}

/**
 * One state of the resource, cut into pieces one way. Peers of different editions cannot give each other anything.
 */
export interface Edition {
  /** See `versionOf`; empty when the origin gives no validators. */
  readonly version: string
  /** In the words of the first host. */
  readonly described: Description
  etag: string
  lastModified: string
  /** Bytes; undefined until known. */
  contentLength: number | undefined
  /** Bytes; undefined until known. */
  pieceLength: number | undefined
  headers: Readonly<Record<string, string>>
  /** Host ids and keys whose word counts for its pieces. Kept when the host leaves: its pieces are passed on. */
  readonly signers: Map<string, Uint8Array>
  readonly peers: Set<Peer>
  /** When the last of them came. */
  joinedAtMs: number
  /** Those of them that read the origin now. */
  readonly reading: Set<Peer>
  /** Those of them that can be asked for pieces, now or as soon as they have some. */
  readonly offering: SampleSet<Peer>
  /** Those that offer, and hold everything they want or read it at the origin. */
  readonly roots: SampleSet<Peer>
  /** How many children in a data centre, by its name, have a parent in another one; one with two of them counts twice. */
  readonly crossings: Map<string, number>
  /** When a host last saw at the origin that this is the current edition; a seed's word is kept apart. */
  validatedAtMs: { bySeed: number; byAny: number }
  /** Seeds that found another edition at the origin, and until when they are not asked for this one again. */
  readonly seedsElsewhere: Map<string, number>
  /** Hosts that know of this edition from the scheduler alone, and since when: their word for it is its own echo. */
  readonly toldAtMs: Map<string, number>
  /** Host ids of parents, and of the hosts that got wrong bytes from them. */
  readonly corruptReports: Map<string, Set<string>>
}

/** One host's part in one task. */
export interface Peer {
  readonly id: string
  readonly host: Host
  readonly task: Task
  /** The data centre of its host when it registered, in lower case; empty when not known. */
  readonly idc: string
  /** Undefined: the whole. */
  readonly range: ByteRange | undefined
  readonly priority: Priority
  /** Pieces it fetches at once. */
  readonly concurrentPieces: number
  /** It asked to read the origin itself. */
  readonly wantsSource: boolean
  /** Its user forbade reading the origin. */
  readonly sourceForbidden: boolean
  readonly createdAtMs: number
  state: PeerState
  /** Undefined while nobody told it which one there is. */
  edition: Edition | undefined
  /** It reads the origin beside hosts whose word counts, and its own does not: nobody could check what it gives. */
  unproven: boolean
  /** Its stream is open. */
  connected: boolean
  readonly pieces: PieceSet
  readonly costs: CostRecord
  /** Whom it may fetch from, in the order they were named to it. They may fetch from it as well. */
  readonly parents: SmallSet<Peer>
  readonly children: SmallSet<Peer>
  /** Undefined while it has no parents. */
  load: EdgeLoad | undefined
  /** That one of its parents over which it gets what roots give; see `isRooted`. */
  via: Peer | undefined
  /** Ids of peers that are not named to it again, and since when; see `isBlocked`. */
  blockedPeers: Map<string, number> | undefined
  /** Ids of hosts that are never named to it again. */
  blockedHosts: Set<string> | undefined
  /** Since when it reads the origin, or holds everything. */
  rootAtMs: number | undefined
  touchedAtMs: number
  /** When it last got a piece or changed its state. */
  progressAtMs: number
}

/** One call to a seed to bring a task. */
export interface SeedRun {
  readonly host: Host
  readonly range: ByteRange | undefined
  /** The edition of the child it is for; undefined when that could not be told. */
  readonly wanted: Edition | undefined
  /** The seed's own peer, once it has registered. */
  peer: Peer | undefined
}

// What authors of evaluators and searchers import as `dragonfly-ts/plugin`. This file imports nothing: they need only
// types. How such a plugin is built, checked, configured and kept apart is the same as for sources.

/** What an evaluator is told of a machine. Texts are cut after 255 characters. */
export interface HostInfo {
  readonly id: string
  readonly hostname: string
  readonly ip: string
  /** `linux`, `darwin` …; empty when the host does not tell. */
  readonly os: string
  /** The data centre, as the host's configuration names it; empty without. */
  readonly idc: string
  /** Parts from the widest to the narrowest, with `|` between them: `eu|zone-1|rack-7`; empty without. */
  readonly location: string
  /** It reads origins for the others. */
  readonly seed: boolean
  /** How many children it may have at once, all tasks together. */
  readonly uploadLimit: number
  /** How many it has now. One child counts once for each task. */
  readonly uploads: number
  /** Pieces that its children may be fetching of it at this moment, by the scheduler's count. */
  readonly uploadPieces: number
  /** Bytes of those pieces. */
  readonly uploadBytes: number
  /** Bytes that its children still lack, as far as known: what it may be asked for in time. */
  readonly owedBytes: number
  /** Bits per second it says it can send; 0 when it does not tell. */
  readonly maxTxBps: number
  /** Hosts that could not fetch from it since the last one that could. */
  readonly complaints: number
}

/** What a host does in a task. Who is `failed` or has `left` is never asked about. */
export type PeerState =
  | 'pending'
  | 'received-empty'
  | 'received-normal'
  | 'running'
  | 'back-to-source'
  | 'succeeded'
  | 'failed'
  | 'left'

/** One host's part in one task: the parent that could give, or the child that wants. */
export interface PeerInfo {
  readonly id: string
  readonly host: HostInfo
  /** `back-to-source`: it reads the origin. `succeeded`: it has everything. */
  readonly state: PeerState
  /** Pieces it has reported. */
  readonly finishedPieces: number
  /** How long pieces took to come to it, in milliseconds; absent before the first. */
  readonly pieceMs?: { readonly mean: number; readonly last: number }
  /** Its last piece took far longer than the others. */
  readonly slow: boolean
  /** Parents it fetches from in this task. */
  readonly parents: number
  /** Children it gives to in this task. */
  readonly children: number
  /** 0 to 6, as `dfget --priority` has it. */
  readonly priority: number
  /** The bytes it wants, both included; absent for all of them. */
  readonly range?: { readonly start: number; readonly end: number }
}

/** What is to be had. Its URL is not told: it may carry credentials. */
export interface TaskInfo {
  readonly id: string
  readonly tag: string
  readonly application: string
  /** Bytes; absent while unknown. */
  readonly contentLength?: number
  /** Bytes; absent while unknown. */
  readonly pieceLength?: number
  /** Pieces altogether; absent while unknown. */
  readonly pieces?: number
}

/**
 * Ranks parents for children in a scheduler. All it is given is plain data of this moment, and frozen. What it throws,
 * an answer that is no finite number, or one that comes too late leaves that child to the default ranking. It is asked
 * about a random sample of those that can give (`filterParentLimit`), and not at all where there is but one.
 */
export interface Evaluator {
  /** How good a parent is for a child: any finite number, the higher the better. Equals stay in random order. */
  evaluate(parent: PeerInfo, child: PeerInfo, task: TaskInfo): number | Promise<number>
  /** All parents of one child at once, asked in the place of `evaluate`: a number each, in their order. */
  evaluateParents?(
    parents: readonly PeerInfo[],
    child: PeerInfo,
    task: TaskInfo,
  ): readonly number[] | Promise<readonly number[]>
  /** A bad parent is named only where all are bad: it is still better than the origin. None is bad without this. */
  isBadParent?(parent: PeerInfo): boolean | Promise<boolean>
}

/** A cluster of schedulers, as a searcher is told of it. */
export interface SchedulerCluster {
  readonly id: number
  readonly name: string
  /** Where hosts go that no other cluster is meant for. */
  readonly isDefault: boolean
  /** Whom it is meant for; what is absent says nothing. */
  readonly scopes: {
    /** Data centres, with `|` between them. */
    readonly idc?: string
    /** Parts from the widest to the narrowest, with `|` between them. */
    readonly location?: string
    /** `10.0.0.0/8` … */
    readonly cidrs?: readonly string[]
  }
  /** Schedulers of it that are up. */
  readonly activeSchedulers: number
}

/** A host that asks which schedulers are its own. */
export interface SearchingHost {
  readonly ip: string
  readonly hostname: string
  /** Empty when the host does not tell. */
  readonly idc: string
  /** Empty when the host does not tell. */
  readonly location: string
  /** What else its request says. */
  readonly conditions: Readonly<Record<string, string>>
}

/** Finds the schedulers of a host in a manager. */
export interface Searcher {
  /** One of the clusters, or several with the best first, or an empty list where none will do. */
  findSchedulerCluster(
    clusters: readonly SchedulerCluster[],
    host: SearchingHost,
  ): SchedulerCluster | readonly SchedulerCluster[] | Promise<SchedulerCluster | readonly SchedulerCluster[]>
}

/** What such a plugin says of itself. Any further key is printed as it is. */
export interface ToolMetadata {
  /** `scheduler` for an evaluator, `manager` for a searcher. */
  readonly type: 'scheduler' | 'manager'
  /** `evaluator` or `searcher`. */
  readonly name: 'evaluator' | 'searcher'
  /** The commit it was built from. `dfget plugin build` fills in this and the next two. */
  readonly buildCommit?: string
  /** When it was built: UTC, RFC 3339. */
  readonly buildTime?: string
  /** Who made it. */
  readonly vendor?: string
  /** A semver range of contract versions that the plugin was written for. Missing: any. */
  readonly apiVersion?: string
  /** What it needs beyond the network: see PluginPermissions of `dragonfly-ts/source`. */
  readonly permissions?: {
    readonly network?: readonly string[]
    readonly files?: readonly string[]
    readonly writes?: readonly string[]
    readonly environment?: readonly string[]
    readonly processes?: boolean
    readonly addons?: boolean
  }
  readonly [key: string]: unknown
}

/** The export that makes `d7y-scheduler-plugin-evaluator.mjs` a plugin. */
export type EvaluatorInit = (options: Readonly<Record<string, unknown>>) => EvaluatorPlugin | Promise<EvaluatorPlugin>

/** What the `DragonflyPluginInit` of an evaluator returns. */
export interface EvaluatorPlugin {
  /** Ranks parents. */
  readonly client: Evaluator
  /** Says what the plugin is. */
  readonly metadata: ToolMetadata & { readonly type: 'scheduler'; readonly name: 'evaluator' }
}

/** The export that makes `d7y-manager-plugin-searcher.mjs` a plugin. */
export type SearcherInit = (options: Readonly<Record<string, unknown>>) => SearcherPlugin | Promise<SearcherPlugin>

/** What the `DragonflyPluginInit` of a searcher returns. */
export interface SearcherPlugin {
  /** Finds schedulers. */
  readonly client: Searcher
  /** Says what the plugin is. */
  readonly metadata: ToolMetadata & { readonly type: 'manager'; readonly name: 'searcher' }
}

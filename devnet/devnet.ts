import { join } from 'node:path'
import { Member, type MemberOptions } from './member.ts'
import { programsBuilt } from './programs.ts'
import { tempDir } from './temp.ts'

/** Settings as a configuration file has them: nested, by their names. */
export type Settings = Readonly<Record<string, unknown>>

export interface DevnetOptions {
  /** Daemons, each with its own work home and host name (1). */
  readonly peers?: number
  /** Seeds (`cdn`) (0). */
  readonly seeds?: number
  /** Without one every daemon runs its own inside itself (true). */
  readonly scheduler?: boolean
  /** Directory of plugins for the daemons, and for the seeds. */
  readonly pluginDirs?: { readonly peers?: readonly string[]; readonly seeds?: readonly string[] }
  readonly peerSettings?: Settings
  readonly seedSettings?: Settings
  readonly schedulerSettings?: Settings
  /** Where the work homes lie; a temporary directory that goes with the net, without it. */
  readonly dir?: string
}

/** A scheduler, seeds and daemons, each a process of its own on this machine. All of them end with the scope. */
export interface Devnet extends AsyncDisposable {
  readonly peers: readonly Member[]
  readonly seeds: readonly Member[]
  /** Fails when the net has none. */
  readonly scheduler: Member
  readonly dir: string
}

/**
 * Starts a net: the scheduler, then all others at once; ready means that each of them has announced itself.
 *
 *     await using net = await devnet({ peers: 3, seeds: 1 })
 *     await net.peers[0].dfget([url, '-O', file])
 */
export async function devnet(options: DevnetOptions = {}): Promise<Devnet> {
  const { peers = 1, seeds = 0, scheduler: withScheduler = true, pluginDirs = {} } = options
  await programsBuilt()
  await using opened = new AsyncDisposableList()
  const temp = options.dir === undefined ? opened.add(await tempDir('net')) : undefined
  const dir = options.dir ?? temp?.path ?? ''
  const start = async (name: string, member: Omit<MemberOptions, 'name' | 'workhome'>): Promise<Member> =>
    opened.add(await Member.start({ ...member, name, workhome: join(dir, name) }))

  const scheduler = withScheduler
    ? await start('scheduler', { role: 'scheduler', settings: options.schedulerSettings ?? {} })
    : undefined
  const shared = { schedulerPort: scheduler?.ready.schedulerPort }
  const seedOptions = { ...shared, role: 'seed', settings: options.seedSettings, pluginDirs: pluginDirs.seeds } as const
  const peerOptions = { ...shared, role: 'peer', settings: options.peerSettings, pluginDirs: pluginDirs.peers } as const
  const startedSeeds = await allOrNone(names('seed', seeds).map((name) => start(name, seedOptions)))
  const startedPeers = await allOrNone(names('peer', peers).map((name) => start(name, peerOptions)))
  const owned = opened.release()
  return {
    dir,
    seeds: startedSeeds,
    peers: startedPeers,
    get scheduler() {
      if (scheduler === undefined) throw new Error('this net has no scheduler')
      return scheduler
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

function names(role: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${role}-${index + 1}`)
}

/** Waits for all of them, also when one fails: what was started has to be known before it can be ended. */
async function allOrNone<T>(starting: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(starting)
  const failed = settled.find((each) => each.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return Promise.all(starting)
}

/** Ends what it holds: all processes at once, then the first (the directory they lived in). */
class AsyncDisposableList implements AsyncDisposable {
  readonly #held: AsyncDisposable[] = []

  add<T extends AsyncDisposable>(each: T): T {
    this.#held.push(each)
    return each
  }

  /** Another list with everything that this one held. */
  release(): AsyncDisposableList {
    const list = new AsyncDisposableList()
    for (const each of this.#held.splice(0)) list.add(each)
    return list
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const held = this.#held.splice(0)
    await Promise.all(held.filter((each) => each instanceof Member).map((each) => each[Symbol.asyncDispose]()))
    for (const each of held) if (!(each instanceof Member)) await each[Symbol.asyncDispose]()
  }
}

import { Failure } from '#core'
import type { Sample } from '#runtime'
import type { ResourceClient, SourceRequest } from '#source'
import { CallBook } from './apart/call-book.ts'
import { asBroken, type PluginOptions } from './check.ts'
import type { PluginEntry } from './entry.ts'
import { locateEntry } from './entry.ts'
import type { FoundPlugin, PluginDir } from './find.ts'
import { findPlugins, isScheme } from './find.ts'
import type { LoadedPlugin, OpenPlugin } from './open.ts'
import { openPlugin } from './open.ts'
import type { PluginPolicy } from './settings.ts'

/** The resource plugins of a host that runs: each in a process of its own, and the newest state of its file. */
export interface PluginHost extends AsyncDisposable {
  /**
   * The plugin of a scheme, loaded at the first call: calls at the same time share one load. Undefined when no
   * directory has one, which may change at any time. A file that was replaced is loaded anew; one that cannot be
   * leaves the old one serving. Fails with `plugin.broken`, again and again without running the plugin, until its file
   * changes; and with `plugin.refused`, `config.invalid` or `plugin.crashed` (no process can be started), for a second
   * at a time: it is not the file that is at fault.
   */
  load(scheme: string): Promise<LoadedPlugin | undefined>
  /** What was counted, for pluginMetrics. */
  samples(): readonly Sample[]
}

export interface PluginHostDeps {
  readonly dirs: readonly PluginDir[]
  readonly options: PluginOptions
  readonly policy: PluginPolicy
  /** Told of each thing an operator should know. */
  warn(message: string): void
  /** Each line that a plugin prints. */
  print?(scheme: string, line: string): void
}

/** Plugin files are looked at this often at most. */
const LOOK_EVERY_MS = 200
/** What lies around a file (modes of directories, a secret's file, a full disk) may be mended without a trace in it. */
const MENDED_AFTER_MS = 1000

/** One state of a plugin's file, in use. */
interface Generation {
  readonly plugin: OpenPlugin
  /** The plugin as it is handed out. */
  readonly loaded: LoadedPlugin
  /** Its process was let go of: who still holds it is served by the next one. */
  gone: boolean
}

interface FailedFile {
  readonly path: string
  readonly stamp: string
  readonly failure: Failure
  readonly atMs: number
}

/** What is known of one scheme that has, or had, a file. */
interface Known {
  current?: Generation
  /** A file that did not work, in the state it had then. */
  failed?: FailedFile
  lookedAt: number
}

export function createPluginHost(deps: PluginHostDeps): PluginHost {
  const known = new Map<string, Known>()
  const loading = new Map<string, Promise<LoadedPlugin | undefined>>()
  const generations = new Set<Generation>()
  const book = new CallBook()
  /** Aborted when the host is let go of. */
  const life = new AbortController()
  const warn = warnOnce((message) => deps.warn(message))

  async function look(scheme: string): Promise<LoadedPlugin | undefined> {
    const here = known.get(scheme) ?? { lookedAt: 0 }
    const now = performance.now()
    if (here.current !== undefined && now - here.lookedAt < LOOK_EVERY_MS) return here.current.loaded
    const found = await findOne(scheme, deps.dirs, warn)
    if (found === undefined) {
      known.delete(scheme)
      retire(here.current)
      return undefined
    }
    known.set(scheme, here)
    here.lookedAt = now
    return lookAt(found, here)
  }

  async function lookAt(found: FoundPlugin, here: Known): Promise<LoadedPlugin> {
    const entry = await locateEntry(found).catch((error: unknown) => asBroken(found, error))
    if (entry instanceof Failure) return goOn(here, entry)
    const { current, failed } = here
    if (current?.loaded.file === found.path && current.loaded.stamp === entry.stamp) return current.loaded
    if (failed?.path === found.path && failed.stamp === entry.stamp && !mayBeMended(failed))
      return goOn(here, failed.failure)
    return replace(found, entry, here)
  }

  async function replace(found: FoundPlugin, entry: PluginEntry, here: Known): Promise<LoadedPlugin> {
    if (entry.outside) warn(`plugin ${found.path} is a link to ${entry.file}, outside of its plugin directory`)
    const print = (line: string): void => deps.print?.(found.name, line)
    try {
      const plugin = await openPlugin(found, { ...deps, book, print, signal: life.signal })
      const before = here.current
      here.current = generation(plugin)
      delete here.failed
      retire(before)
      return here.current.loaded
    } catch (error) {
      const failure = asBroken(found, error)
      here.failed = { path: found.path, stamp: entry.stamp, failure, atMs: performance.now() }
      return goOn(here, failure)
    }
  }

  /** A file in the middle of being written must not take its scheme down; one that nobody may trust must. */
  function goOn(here: Known, failure: Failure): LoadedPlugin {
    if (here.current !== undefined && failure.code !== 'plugin.refused') {
      warn(`${failure.message}; the one that was loaded before goes on`)
      return here.current.loaded
    }
    retire(here.current)
    delete here.current
    throw failure
  }

  function generation(plugin: OpenPlugin): Generation {
    const made: Generation = {
      plugin,
      loaded: { ...plugin, client: lastingClient(plugin.client, () => successor(made, plugin.scheme)) },
      gone: false,
    }
    generations.add(made)
    return made
  }

  /** Who holds a plugin whose process is gone gets what is loaded for its scheme now: its file may be another one. */
  async function successor(made: Generation, scheme: string): Promise<ResourceClient | undefined> {
    if (!made.gone && made.plugin.pid !== undefined) return made.plugin.client
    const here = known.get(scheme)
    if (here?.current === made) here.lookedAt = 0
    await load(scheme)
    return known.get(scheme)?.current?.plugin.client
  }

  /** Its running tasks go on with it; when none has asked it anything for a while, it ends. */
  function retire(old: Generation | undefined): void {
    if (old === undefined) return
    const { drainTimeout } = deps.policy
    const timer = setInterval(
      () => {
        if (old.plugin.idleMs < drainTimeout) return
        clearInterval(timer)
        void end(old)
      },
      Math.max(20, drainTimeout / 10),
    )
    timer.unref()
  }

  async function end(old: Generation): Promise<void> {
    old.gone = true
    generations.delete(old)
    await old.plugin[Symbol.asyncDispose]()
  }

  async function load(name: string): Promise<LoadedPlugin | undefined> {
    const scheme = name.toLowerCase()
    if (!isScheme(scheme)) return undefined
    if (life.signal.aborted) throw new Failure('plugin.down', `the plugins of this program were let go of (${scheme})`)
    const running = loading.get(scheme) ?? look(scheme).finally(() => loading.delete(scheme))
    loading.set(scheme, running)
    return running
  }

  return {
    load,
    samples: () => book.samples(),
    async [Symbol.asyncDispose]() {
      life.abort()
      await Promise.allSettled(loading.values())
      await Promise.all([...generations].map(end))
    },
  }
}

function mayBeMended({ failure, atMs }: FailedFile): boolean {
  return failure.code !== 'plugin.broken' && performance.now() - atMs >= MENDED_AFTER_MS
}

/** The same client, for as long as anybody holds it: once its process was let go of, the next one answers. */
function lastingClient(client: ResourceClient, now: () => Promise<ResourceClient | undefined>): ResourceClient {
  const call = async (name: string, args: readonly unknown[]): Promise<unknown> => {
    const method: unknown = Reflect.get(Object(await now()) as object, name)
    if (typeof method !== 'function') throw replacedWithout(name)
    const answer: unknown = await Reflect.apply(method, undefined, args)
    return answer
  }
  const methods = Object.keys(client).map((name) => [name, (...args: unknown[]) => call(name, args)] as const)
  const lasting = Object.fromEntries(methods) as unknown as ResourceClient
  if (client.list === undefined) return lasting
  async function* list(request: SourceRequest): ReturnType<NonNullable<ResourceClient['list']>> {
    const client = await now()
    if (client?.list === undefined) throw replacedWithout('list')
    yield* client.list(request)
  }
  return Object.assign(lasting, { list })
}

function replacedWithout(method: string): Failure {
  return new Failure('plugin.down', `the plugin was replaced by one without ${method}`)
}

async function findOne(
  scheme: string,
  dirs: readonly PluginDir[],
  warn: (message: string) => void,
): Promise<FoundPlugin | undefined> {
  const searched = await findPlugins(dirs)
  for (const { dir, problem } of searched) {
    if (problem === 'missing' && dir.given) warn(`plugin directory ${dir.path} does not exist`)
    if (problem !== undefined && problem !== 'missing')
      warn(`plugin directory ${dir.path} cannot be read: ${problem.reason}`)
  }
  return searched
    .flatMap(({ plugins }) => plugins)
    .find((plugin) => plugin.type === 'resource' && plugin.name === scheme)
}

/** Messages differ by file, reason and directory: a handful, but a host may run for months. */
const MOST_TOLD = 1000

function warnOnce(warn: (message: string) => void): (message: string) => void {
  const told = new Set<string>()
  return (message) => {
    if (told.has(message)) return
    if (told.size >= MOST_TOLD) told.clear()
    told.add(message)
    warn(message)
  }
}

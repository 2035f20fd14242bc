import { realpath } from 'node:fs/promises'
import { Failure } from '#core'
import type { PluginMetadata, ResourceClient } from '#source'
import { apply } from './apart/apart-apply.ts'
import { apartClient } from './apart/apart-client.ts'
import { Call } from './apart/call.ts'
import { CallBook } from './apart/call-book.ts'
import type { OpenAnswer, Question } from './apart/messages.ts'
import { CHILD_FILE, PluginProcess } from './apart/plugin-process.ts'
import { Supervised } from './apart/supervised.ts'
import type { Identity, PluginOptions } from './check.ts'
import { checkIdentity } from './check.ts'
import type { PluginEntry } from './entry.ts'
import { broken, locateEntry } from './entry.ts'
import type { FoundPlugin, PluginType } from './find.ts'
import { oneLine } from './one-line.ts'
import { grantsOf, LackingGrants, missingGrants } from './policy/grants.ts'
import { resolveOptions } from './policy/options.ts'
import { checkPin, sha256Of } from './policy/pins.ts'
import { type Enforcement, type Sandbox, sandbox } from './policy/sandbox.ts'
import { readSecretFile, scrub, scrubAll } from './policy/secrets.ts'
import { howToGrant } from './policy/shell-word.ts'
import { checkTrust } from './policy/trust.ts'
import { watchProcess } from './apart/watch-process.ts'
import type { PluginPolicy } from './settings.ts'

/** Loading, options, init: each has its time. */
const STEPS = 3
/** A machine that is busy may keep the messages between the two processes waiting. */
const SLACK_MS = 30_000

/** A plugin that passed every check, as its host sees it. */
export interface LoadedPlugin {
  readonly type: PluginType
  /** Lower case. The name, for a plugin that is no resource plugin. */
  readonly scheme: string
  /** As messages name it: `plugin d7yfs (/path/d7y-resource-plugin-d7yfs.mjs)`. */
  readonly name: string
  /** Calls go to the plugin's own process. Has the methods that the plugin has. */
  readonly client: ResourceClient
  readonly metadata: PluginMetadata
  /** Path in the plugin directory. */
  readonly file: string
  /** The state of the file that was loaded; another one on disk means that it was replaced since. */
  readonly stamp: string
  /** Of the module's file, in hex. */
  readonly sha256: string
  /** Methods a host may call that the plugin's client has. */
  readonly methods: readonly string[]
  /** It says what options it takes (`DragonflyPluginOptions`). */
  readonly hasSchema: boolean
  /** What this host and this Node hold it to. */
  readonly enforcement: Enforcement
}

export interface OpenPlugin extends LoadedPlugin, AsyncDisposable {
  /** The process it runs in; undefined between a crash and the next call. */
  readonly pid: number | undefined
  /** How long nobody has asked it anything. */
  readonly idleMs: number
  /** A method of a plugin that is no source, with plain data for arguments. */
  apply(method: string, args: readonly unknown[], signal: AbortSignal): Promise<unknown>
}

export interface OpenOptions {
  /** As they stand in the configuration, by scheme: references are resolved here. */
  readonly options: PluginOptions
  readonly policy: PluginPolicy
  warn(message: string): void
  /** Each line that the plugin prints. */
  print?(line: string): void
  /** Where its calls are counted. */
  readonly book?: CallBook
  readonly env?: NodeJS.ProcessEnv
  /** Ends the loading: nobody waits for the plugin any more. */
  readonly signal?: AbortSignal
}

/**
 * Starts a plugin in a process of its own and checks it as a host does before use. Fails with `plugin.broken`,
 * `plugin.refused` or `config.invalid`; the message is the bare reason.
 */
export async function openPlugin(found: FoundPlugin, how: OpenOptions): Promise<OpenPlugin> {
  const entry = await locateEntry(found)
  const ready = await admit(found, entry, how)
  const book = how.book ?? new CallBook()
  const scheme = found.name
  const name = `plugin ${found.name} (${found.path})`
  let identity: Identity | undefined
  const start = async (signal: AbortSignal): Promise<PluginProcess> => {
    // The file was admitted as it was then: a process that is started later must not be of another one.
    const isRestart = identity !== undefined
    if (isRestart && (await sha256Of(entry.file)) !== ready.sha256)
      throw broken('its file is not the one that was loaded')
    const opened = await startOpened(found, entry, ready, how, signal)
    identity ??= opened.identity
    return opened.process
  }
  const { memory, hangTimeout, crashes, coolDown } = how.policy
  const count = (by: number): void => book.add('dragonfly_plugin_processes', { scheme }, by)
  const supervised = new Supervised({
    name,
    start,
    memoryBytes: memory,
    hangTimeoutMs: hangTimeout,
    crashes,
    coolDownMs: coolDown,
    warn: (message) => how.warn(scrub(message, ready.secrets)),
    onStart(restart) {
      count(1)
      if (restart) book.add('dragonfly_plugin_restarts_total', { scheme }, 1)
    },
    onEnd: () => count(-1),
  })
  await opening(supervised, how.signal)
  const { metadata, methods, hasSchema } = await afterwards(supervised, () => accept(found, identity, ready))
  const cleaned = (text: string): string => scrub(text, ready.secrets)
  return {
    type: found.type,
    scheme,
    name,
    client: apartClient(supervised, { scheme, name, methods, book, scrub: cleaned }),
    metadata,
    file: found.path,
    stamp: entry.stamp,
    sha256: ready.sha256,
    methods,
    hasSchema,
    enforcement: ready.box.enforcement,
    get pid() {
      return supervised.pid
    },
    get idleMs() {
      return supervised.idleMs
    },
    apply: (method, args, signal) => apply(supervised, { scheme, book, scrub: cleaned }, { method, args, signal }),
    [Symbol.asyncDispose]: () => supervised[Symbol.asyncDispose](),
  }
}

/** What a plugin's file must be before a line of it is run. */
interface Admitted {
  readonly sha256: string
  readonly options: Record<string, unknown>
  readonly secrets: readonly string[]
  readonly grants: ReturnType<typeof grantsOf>
  readonly box: Sandbox
}

async function admit(found: FoundPlugin, entry: PluginEntry, how: OpenOptions): Promise<Admitted> {
  await checkTrust(found, entry)
  const sha256 = await sha256Of(entry.file)
  checkPin(found.name, sha256, how.policy.pins)
  const env = how.env ?? process.env
  const { options, secrets } = await resolveOptions(found.name, how.options, { env, readFile: readSecretFile })
  const grants = grantsOf(found.name, how.policy.grants)
  const plugin = await realpath(found.path)
  return { sha256, options, secrets, grants, box: sandbox(grants, { childFile: CHILD_FILE, plugin, env }) }
}

/** What it said of itself, once that is found to be right. Undefined identity cannot be: the first start set it. */
async function accept(found: FoundPlugin, identity: Identity | undefined, admitted: Admitted): Promise<Identity> {
  const { grants, secrets } = admitted
  if (identity === undefined) throw new Failure('internal', 'a plugin was opened without an answer')
  const { permissions } = identity.metadata
  const missing = missingGrants(permissions, grants)
  if (missing.length === 0) return { ...identity, metadata: shown(identity.metadata, secrets) }
  throw new Failure(
    'plugin.refused',
    `it needs what it was not granted: ${missing.join(', ')}; ${howToGrant(found.name, missing)}`,
    { cause: new LackingGrants(permissions, missing) },
  )
}

/** A plugin may say of itself what it was told. What was checked stays: a user may be called like a scheme. */
function shown(metadata: PluginMetadata, secrets: readonly string[]): PluginMetadata {
  const { type, name, scheme, permissions, ...more } = metadata
  const checked = { type, name, scheme, ...(permissions === undefined ? {} : { permissions }) }
  const said = scrubAll(more, secrets) as Readonly<Record<string, unknown>>
  const entries = Object.entries({ ...said, ...checked }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))) as PluginMetadata
}

async function opening(supervised: Supervised, signal: AbortSignal | undefined): Promise<void> {
  const stop = (): void => void supervised[Symbol.asyncDispose]()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    await supervised.open()
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

async function afterwards<T>(supervised: Supervised, check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    await supervised[Symbol.asyncDispose]()
    throw error
  }
}

/** A process in which the plugin has been loaded and initialised. */
async function startOpened(
  found: FoundPlugin,
  entry: PluginEntry,
  { options, secrets, box }: Admitted,
  how: OpenOptions,
  signal: AbortSignal,
): Promise<{ process: PluginProcess; identity: Identity }> {
  const { startTimeout, memory } = how.policy
  const started = await PluginProcess.start({
    name: found.location,
    execArgv: box.execArgv,
    env: box.env,
    memoryBytes: memory,
    print: (line) => how.print?.(line),
    scrub: (text) => scrub(text, secrets),
    signal,
  })
  try {
    const [scheme, deadlineMs] = [found.name, startTimeout]
    const question = { ask: 'open', file: entry.file, options, scheme, deadlineMs } as const
    const answer = await opened(started, question, how.policy)
    return { process: started, identity: checkIdentity(found, answer) }
  } catch (error) {
    started.kill({ code: 'plugin.crashed', what: 'it could not be opened' })
    await started.ended
    throw asReason(error, secrets)
  }
}

/** The plugin has its time for each step; the watch is for one that keeps its process from reacting at all. */
async function opened(
  started: PluginProcess,
  question: Question & { ask: 'open' },
  { memory, hangTimeout }: PluginPolicy,
): Promise<OpenAnswer> {
  const unwatch = watchProcess(started, { memoryBytes: memory, hangTimeoutMs: hangTimeout }, () => true)
  const signal = AbortSignal.timeout(STEPS * question.deadlineMs + SLACK_MS)
  const call = new Call(started, question, { signal, onClose() {} })
  try {
    return Object(await call.message()) as OpenAnswer
  } finally {
    unwatch()
    call.close()
  }
}

function asReason(error: unknown, secrets: readonly string[]): Failure {
  const message = oneLine(scrub(error instanceof Error ? error.message : String(error), secrets))
  if (error instanceof Failure && error.code === 'config.invalid') return new Failure('config.invalid', message)
  return broken(message)
}

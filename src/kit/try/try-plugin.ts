import type { OpenPlugin } from '#plugin'
import { CONTRACT_CHECKS, type Source, sourceFromClient } from '#source'
import { checkOnFixture } from './check-on-fixture.ts'
import { answersInTime, goesOn, readsUnicode, saysDenied, takesEmpty } from './live-checks.ts'
import { keepsPace, streamsHuge } from './pace-checks.ts'
import { compareReference, type Reference, readReference } from './reference.ts'
import { judge, type Row } from './verdict.ts'

/** A live origin, and what is known of it. */
export interface TryOrder {
  readonly url: string
  /** What the resource must be, where it is known. */
  readonly content?: Uint8Array
  /** `algorithm:hex` of the same. */
  readonly digest?: string
  /** Where there is nothing; `none` where every URL is something. Without it: the URL with a strange ending. */
  readonly missingUrl?: string
  readonly deniedUrl?: string
  readonly emptyUrl?: string
  readonly unicodeUrl?: string
  readonly hugeUrl?: string
  readonly listUrl?: string
  /** A shell command that makes the resource another one. */
  readonly change?: string
  readonly headers: Readonly<Record<string, string>>
  /** Of each check. */
  readonly timeoutMs: number
}

export interface TryReport {
  readonly rows: readonly Row[]
  /** What the host had to say meanwhile. */
  readonly warnings: readonly string[]
}

/** A plugin in a process of its own. */
export type Opened = Pick<OpenPlugin, 'client' | 'pid' | 'scheme' | 'name'> & AsyncDisposable

/** A plugin under test, and all that its checks need. */
export interface Bench {
  readonly plugin: Opened
  /** The host's side of it. */
  readonly source: Source
  readonly order: TryOrder
  /** The same plugin in another process, whose memory no check has touched yet. */
  anew(): Promise<Bench & AsyncDisposable>
}

/**
 * Asks a plugin for everything that the contract promises, of a live origin, as a host would. Fails only when it cannot
 * be opened, and with `usage.invalid` for what cannot be asked.
 */
export async function tryPlugin(
  open: () => Promise<Opened>,
  order: TryOrder,
  tell: (row: Row) => void = () => undefined,
): Promise<TryReport> {
  const warnings = new Set<string>()
  await using bench = await benchOf(open, order, (message) => void warnings.add(message))
  const rows: Row[] = []
  const add = async (check: string, run: (signal: AbortSignal) => Promise<string>): Promise<void> => {
    const row = await judge(check, order.timeoutMs, run)
    rows.push(row)
    tell(row)
  }

  let reference: Reference | undefined
  await add('reads the whole resource, as a host does', async (signal) => {
    const read = await readReference(bench, signal)
    reference = read
    return compareReference(read, order)
  })
  for (const check of Object.keys(CONTRACT_CHECKS)) {
    if (check !== CHANGE && check !== PACE) await add(check, () => checkOnFixture(check, bench, reference))
  }
  await add('goes on where a read broke off', (signal) => goesOn(bench, reference, signal))
  await add('says source.denied for what is forbidden', (signal) => saysDenied(bench, signal))
  await add('gives an empty resource as one without a byte', (signal) => takesEmpty(bench, signal))
  await add('reads a path beyond ASCII, percent-encoded or not', (signal) => readsUnicode(bench, signal))
  await add('streams what is huge, in little memory', (signal) => streamsHuge(bench, signal))
  await add(PACE, (signal) => keepsPace(bench, reference, signal))
  await add('answers within the time that hosts give it', (signal) => answersInTime(bench, signal))
  await add(CHANGE, () => checkOnFixture(CHANGE, bench, reference))
  return { rows, warnings: [...warnings] }
}

async function benchOf(
  open: () => Promise<Opened>,
  order: TryOrder,
  warn: (message: string) => void,
): Promise<Bench & AsyncDisposable> {
  const plugin = await open()
  const { client, scheme, name } = plugin
  return {
    plugin,
    source: sourceFromClient(client, { scheme, inTree: false, apart: true, name, warn }),
    order,
    anew: () => benchOf(open, order, warn),
    [Symbol.asyncDispose]: () => plugin[Symbol.asyncDispose](),
  }
}

/** Last, because afterwards the resource is another one. */
const CHANGE = 'says that a resource which changed is another version'
/** The one of the suite looks at the memory of this process; a plugin has its own. */
const PACE = 'reads no further ahead than it is asked for'

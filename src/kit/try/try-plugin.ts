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

/** A plugin under test, and all that its checks need. */
export interface Bench {
  readonly plugin: Pick<OpenPlugin, 'client' | 'pid' | 'scheme' | 'name' | 'methods'>
  /** The host's side of it. */
  readonly source: Source
  readonly order: TryOrder
}

/** Asks a plugin for everything that the contract promises, of a live origin, as a host would. Only failures throw. */
export async function tryPlugin(
  plugin: Bench['plugin'],
  order: TryOrder,
  tell: (row: Row) => void = () => undefined,
): Promise<TryReport> {
  const { client, scheme, name } = plugin
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const source = sourceFromClient(client, { scheme, inTree: false, apart: true, name, warn })
  const bench: Bench = { plugin, source, order }
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
  return { rows, warnings }
}

/** Last, because afterwards the resource is another one. */
const CHANGE = 'says that a resource which changed is another version'
/** The one of the suite looks at the memory of this process; a plugin has its own. */
const PACE = 'reads no further ahead than it is asked for'

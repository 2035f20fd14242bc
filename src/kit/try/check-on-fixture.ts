import { randomBytes } from 'node:crypto'
import { CONTRACT_CHECKS, type Lacking, Probe, type SourceFixture } from '#source'
import { known, type Reference } from './reference.ts'
import { runChange } from './run-change.ts'
import type { Bench, TryOrder } from './try-plugin.ts'
import { notSupported, notTried, NoVerdict, reasonOf } from './verdict.ts'

/** What the check of the suite takes, as the flag that gives it. */
const FLAGS: Readonly<Record<Lacking, string>> = {
  missingUrl: 'give --missing-url',
  change: 'give --change',
  listing: 'give --list-url',
  'a byte': 'give a --url that is not empty',
  '32 MiB': 'give a --url of 32 MiB or more',
}

const MISSING = 'says source.not_found for what is not there'
/** These two ask nothing of the bytes of the resource. */
const NEED_NO_CONTENT = new Set([MISSING, 'lists one level, entry by entry'])

/** One check of the contract suite, on the host's stand-in for the plugin. */
export async function checkOnFixture(check: string, bench: Bench, reference: Reference | undefined): Promise<string> {
  const run = CONTRACT_CHECKS[check]
  if (run === undefined) throw new Error(`the suite has no check "${check}"`)
  const content = NEED_NO_CONTENT.has(check) ? new Uint8Array() : known(reference).content
  const probe = new Probe(fixtureOf(bench, content))
  try {
    const skipped = await run(probe)
    if (skipped === undefined) return ''
    throw 'unsupported' in skipped ? notSupported(skipped.unsupported) : notTried(FLAGS[skipped.untried])
  } catch (error) {
    if (check !== MISSING || bench.order.missingUrl !== undefined || error instanceof NoVerdict) throw error
    const guessed = `asked was ${probe.fixture.missingUrl}: give --missing-url, or "none" where every URL is something`
    throw new Error(`${reasonOf(error)} (${guessed})`, { cause: error })
  } finally {
    probe.close()
  }
}

function fixtureOf({ plugin, order }: Bench, content: Uint8Array): SourceFixture {
  const { url, headers, listUrl, change } = order
  const missingUrl = missingUrlOf(order)
  return {
    client: plugin.client,
    url,
    headers,
    content,
    ...(missingUrl === undefined ? {} : { missingUrl }),
    ...(listUrl === undefined ? {} : { listing: { url: listUrl } }),
    ...(change === undefined ? {} : { change: () => runChange(change, order.timeoutMs) }),
  }
}

/** A name beside the resource that nobody gives to anything, unless another one was given. */
function missingUrlOf({ url, missingUrl }: TryOrder): string | undefined {
  if (missingUrl !== undefined) return missingUrl === 'none' ? undefined : missingUrl
  const end = url.search(/[?#]|$/)
  return `${url.slice(0, end).replace(/\/+$/, '')}.missing-${randomBytes(6).toString('hex')}${url.slice(end)}`
}

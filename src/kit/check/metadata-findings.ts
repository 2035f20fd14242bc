import { API_VERSION, type PluginMetadata } from '#source'
import type { Finding } from './findings.ts'

const FILLED_IN = 'dfget plugin build fills it in'

/** A line for each key, and for those that are missed. */
export function metadataFindings(metadata: PluginMetadata): Finding[] {
  const { permissions: _, ...told } = metadata
  const keys = new Set([...ORDER, ...Object.keys(told)])
  return [...keys].flatMap((about) => {
    const judged = JUDGES[about]?.(metadata) ?? plain(metadata[about])
    return judged === undefined ? [] : [{ about, ...judged }]
  })
}

type Judged = Omit<Finding, 'about'>

const ORDER = ['type', 'name', 'scheme', 'apiVersion', 'buildCommit', 'buildTime', 'vendor']

const JUDGES: Readonly<Record<string, (metadata: PluginMetadata) => Judged>> = {
  apiVersion({ apiVersion }) {
    if (apiVersion !== undefined) return ok(`${apiVersion} takes in this host's ${API_VERSION}`)
    return note(`missing: hosts of any version will try it; ${FILLED_IN}`)
  },
  buildCommit({ buildCommit }) {
    if (buildCommit === undefined || buildCommit === '') return note(`missing; ${FILLED_IN}`)
    if (buildCommit === 'unknown') return note('unknown: it was not built in a git repository')
    if (buildCommit.endsWith('-dirty')) return note(`${buildCommit}: what was built is not what was committed`)
    return ok(buildCommit)
  },
  buildTime({ buildTime }) {
    if (buildTime === undefined || buildTime === '') return note(`missing; ${FILLED_IN}`)
    if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(buildTime) && Date.parse(buildTime) > 0) return ok(buildTime)
    return { severity: 'warning', text: `${shown(buildTime)} is no time in UTC such as 2026-01-31T12:00:00Z` }
  },
  vendor({ vendor }) {
    if (vendor !== undefined && vendor !== '') return ok(vendor)
    return note('missing; dfget plugin build fills in the author of package.json')
  },
}

function plain(value: unknown): Judged | undefined {
  return value === undefined ? undefined : ok(typeof value === 'string' ? value : shown(value))
}

function shown(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

function ok(text: string): Judged {
  return { severity: 'ok', text }
}

function note(text: string): Judged {
  return { severity: 'note', text }
}

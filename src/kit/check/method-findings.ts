import type { PluginType } from '#plugin'
import type { Finding } from './findings.ts'

/** What hosts do without a method, and whether `stat` is as good. */
const WITHOUT: Readonly<Record<string, { readonly text: string; readonly byStat?: boolean }>> = {
  getContentLength: { text: 'lengths are known only at the end of a download', byStat: true },
  isSupportRange: { text: 'a download that breaks starts again', byStat: true },
  isExpired: { text: 'what is stored is compared by ETag and date' },
  getLastModified: { text: 'a change is told by the ETag only', byStat: true },
  stat: { text: 'length, ranges and date are asked one by one' },
  list: { text: 'the scheme cannot be listed' },
}

/** A line for each method of the contract. */
export function methodFindings(type: PluginType, methods: readonly string[]): Finding[] {
  if (type !== 'resource') return methods.map(present)
  const has = (name: string): boolean => methods.includes(name)
  return ['download', ...Object.keys(WITHOUT)].map((about): Finding => {
    const without = WITHOUT[about]
    if (has(about) || without === undefined) return present(about)
    if (without.byStat === true && has('stat')) return { severity: 'ok', about, text: 'missing: stat tells it' }
    return { severity: 'note', about, text: `missing: ${without.text}` }
  })
}

function present(about: string): Finding {
  return { severity: 'ok', about, text: 'present' }
}

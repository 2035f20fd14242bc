import type { GoodPlugin } from '#plugin'
import type { Finding } from './findings.ts'

/** What it asked for, what it was granted, and what of it this Node can hold it to. */
export function permissionsFinding({ metadata, enforcement }: GoodPlugin, granted: unknown): Finding {
  const declared = metadata.permissions
  const loose = Object.entries(enforcement).filter(([, how]) => String(how) !== 'enforced')
  const held = Object.entries(enforcement).map(([kind, how]) => `${kind} ${String(how)}`)
  const text = `declared ${shown(declared)}, granted ${shown(granted)}; ${held.join(', ')}`
  const asked = Object.keys(declared ?? {})
  const open = loose.some(([kind]) => asked.includes(kind)) || (granted !== undefined && loose.length > 1)
  return { severity: open ? 'note' : 'ok', about: 'permissions', text }
}

function shown(value: unknown): string {
  return value === undefined ? 'none' : JSON.stringify(value)
}

import { messageOf } from '#core'
import { describe, oneLine } from '../one-line.ts'
import { howToGrant } from '../policy/shell-word.ts'

const MOST_CAUSES = 8

/** What Node's permission model says of a call that it stopped. */
interface Denial {
  readonly permission: string
  readonly resource: string
}

/**
 * What a plugin threw, in words. Where Node kept it from something, the words are what that was, and how to grant it:
 * Node's own name no path. May throw, as reading a stranger's error does.
 */
export function saidOf(error: unknown, scheme: string): string {
  const denial = denialIn(error)
  const said: unknown = messageOf(error)
  const words = typeof said === 'string' ? said : ''
  if (denial === undefined) return words
  const told = tellDenied(denial, scheme)
  if (denialOf(error) !== undefined) return told
  return words.includes(told) ? words : `${words}: ${told}`
}

function tellDenied(denial: Denial, scheme: string): string {
  const { permission, resource } = denial
  switch (permission) {
    case 'FileSystemRead':
      return tellFile(scheme, 'read', resource, 'files')
    case 'FileSystemWrite':
      return tellFile(scheme, 'write', resource, 'writes')
    case 'ChildProcess':
      return advise(scheme, 'run other programs', 'processes=true')
    case 'WorkerThreads':
      return advise(scheme, 'start threads', 'processes=true')
    case 'Addons':
      return advise(scheme, 'load native addons', 'addons=true')
    default:
      return `it may not use ${permission === '' ? 'that' : oneLine(permission)}: only --plugin-grant ${scheme}=all lifts that`
  }
}

function tellFile(scheme: string, verb: string, path: string, kind: string): string {
  if (path.startsWith('/')) return advise(scheme, `${verb} ${oneLine(path)}`, `${kind}=${oneLine(path)}`)
  return `it may not ${verb} ${describe(path)}: files can be granted, and are then named, by absolute paths`
}

function advise(scheme: string, what: string, grant: string): string {
  return `it may not ${what}, which it was not granted: ${howToGrant(scheme, [grant])}`
}

function denialIn(error: unknown): Denial | undefined {
  let at = error
  for (let depth = 0; depth < MOST_CAUSES && typeof at === 'object' && at !== null; depth++) {
    const denial = denialOf(at)
    if (denial !== undefined) return denial
    at = (at as { cause?: unknown }).cause
  }
  return undefined
}

function denialOf(error: unknown): Denial | undefined {
  const { code, permission, resource } = Object(error) as Record<string, unknown>
  if (code === 'ERR_DLOPEN_DISABLED') return { permission: 'Addons', resource: '' }
  if (code !== 'ERR_ACCESS_DENIED') return undefined
  return {
    permission: typeof permission === 'string' ? permission : '',
    resource: typeof resource === 'string' ? resource : '',
  }
}

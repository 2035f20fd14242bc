import { execFile } from 'node:child_process'
import { relative, sep } from 'node:path'
import { promisify } from 'node:util'
import { API_VERSION } from '#source'
import type { Project } from './project.ts'

/** What a build says of itself, in the metadata of the plugin. */
export interface Stamp {
  readonly buildCommit: string
  readonly buildTime: string
  readonly vendor?: string
  readonly apiVersion: string
}

const GIT_TIMEOUT_MS = 10_000
const runFile = promisify(execFile)

export async function stampOf(project: Project, out: string, vendor: string | undefined): Promise<Stamp> {
  const maker = vendor ?? authorOf(project.manifest['author'])
  return {
    buildCommit: await commitOf(project.dir, out),
    buildTime: buildTime(process.env['SOURCE_DATE_EPOCH']),
    ...(maker === undefined ? {} : { vendor: maker }),
    apiVersion: rangeFor(API_VERSION),
  }
}

/** Every host of the same major version that knows at least what this kit knows. */
export function rangeFor(version: string): string {
  const [major, minor] = version.split('.')
  return `^${major}.${minor}.0`
}

/** UTC, to the second. `epoch` holds seconds, for builds that must be the same byte for byte (SOURCE_DATE_EPOCH). */
export function buildTime(epoch: string | undefined): string {
  const now = epoch !== undefined && /^\d{1,11}$/.test(epoch) ? new Date(Number(epoch) * 1000) : new Date()
  return `${now.toISOString().slice(0, 19)}Z`
}

/** The name out of `Name <mail> (site)`, or of `{ name }`. */
function authorOf(author: unknown): string | undefined {
  const name: unknown = typeof author === 'object' && author !== null && 'name' in author ? author.name : author
  if (typeof name !== 'string') return undefined
  const bare = name.replace(/[<(].*/s, '').trim()
  return bare === '' ? undefined : bare
}

/** What is not committed below the project makes it dirty; what this build writes there does not. */
async function commitOf(dir: string, out: string): Promise<string> {
  try {
    const commit = await git(dir, 'rev-parse', '--short', 'HEAD')
    const way = relative(dir, out)
    const inside = way !== '' && way !== '..' && !way.startsWith(`..${sep}`)
    const own = inside ? [`:(exclude,literal)${way}`] : []
    const changes = await git(dir, 'status', '--porcelain', '--', '.', ...own)
    return changes === '' ? commit : `${commit}-dirty`
  } catch {
    return 'unknown' // no git here, or no repository, or none with a commit
  }
}

async function git(dir: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await runFile('git', args, { cwd: dir, encoding: 'utf8', timeout: GIT_TIMEOUT_MS })
  return stdout.trim()
}

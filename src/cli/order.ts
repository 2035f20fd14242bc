import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import {
  type Digest,
  Failure,
  messageOf,
  parseDigest,
  parseDuration,
  parseRange,
  parseSize,
  type RangeRequest,
} from '#core'
import { type Directories, redactUrl } from '#runtime'
import type { PluginFlags } from './plugin-flags.ts'

/** What stands behind `dfget`'s flags, as the command line gives it. */
export interface DownloadFlags {
  readonly url?: string
  readonly output?: string
  readonly timeout: string
  readonly limit: string
  readonly digest?: string
  readonly tag: string
  readonly filter: string
  readonly header: readonly string[]
  readonly disableBackSource: boolean
  readonly pattern: string
  readonly showProgress?: boolean
  readonly range?: string
  readonly originalOffset: boolean
  readonly workhome?: string
  readonly logdir?: string
  readonly console: boolean
  readonly callsystem: string
  readonly verbose: boolean
  readonly scheduler: readonly string[]
  readonly pluginDir: readonly string[]
  readonly config?: string
  readonly json: boolean
  readonly pluginOption: readonly string[]
  readonly pluginGrant: readonly string[]
}

export type Pattern = 'p2p' | 'cdn' | 'source'

/** One `dfget`, understood and checked: everything present, nothing left to interpret. */
export interface Order {
  readonly url: string
  /** Absolute path; undefined streams to stdout. */
  readonly output: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly tag: string
  readonly filteredQueryParams: readonly string[]
  readonly digest: Digest | undefined
  readonly range: RangeRequest | undefined
  readonly originalOffset: boolean
  /** Bytes per second; undefined for no limit. */
  readonly rateLimitBytes: number | undefined
  readonly disableBackSource: boolean
  /** Milliseconds for the whole download; 0 for as long as it takes. */
  readonly timeoutMs: number
  readonly pattern: Pattern
  readonly directories: Directories
  readonly schedulers: readonly string[]
  readonly pluginDirs: readonly string[]
  /** Options and grants of plugins, as they stand on the command line. */
  readonly plugins: PluginFlags
  readonly config: string | undefined
  readonly callsystem: string
  /** Undefined: only where somebody looks on. */
  readonly showProgress: boolean | undefined
  readonly console: boolean
  readonly verbose: boolean
  readonly json: boolean
  /** What the user should know although it is no error. */
  readonly warnings: readonly string[]
}

const PATTERNS = ['p2p', 'cdn', 'source'] as const
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** A list of these has no meaning. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set(['host', 'authorization', 'proxy-authorization', 'range'])
const MAX_HEADER_BYTES = 64 * 1024

/** Reads the command line of a download, or fails with `usage.invalid` (or `output.invalid`) and the way out. */
export function readOrder(
  flags: DownloadFlags,
  positional: string | undefined,
  cwd: string,
  places: Directories,
): Order {
  const warnings: string[] = []
  const url = readUrl(flags.url ?? positional)
  const given = readHeaders(flags.header)
  const { range, headers } = readRange(flags.range, given, warnings)
  if (flags.originalOffset && range === undefined) {
    throw invalid('--original-offset writes a range at its own place: add --range')
  }
  const output = readOutput(flags.output, url, cwd)
  if (flags.originalOffset && output === undefined) throw invalid('--original-offset needs a file: name one with -O')
  if (flags.json && output === undefined) throw invalid('--json and -O - both want stdout: name a file with -O')
  return {
    url,
    output,
    headers,
    tag: flags.tag,
    filteredQueryParams: flags.filter.split('&').filter((name) => name !== ''),
    digest: flags.digest === undefined || flags.digest === '' ? undefined : parseDigest(flags.digest),
    range,
    originalOffset: flags.originalOffset,
    rateLimitBytes: readFlag('--limit', flags.limit, parseSize) || undefined,
    disableBackSource: flags.disableBackSource,
    timeoutMs: readFlag('--timeout', flags.timeout, parseDuration),
    pattern: readPattern(flags),
    directories: places,
    schedulers: flags.scheduler,
    pluginDirs: flags.pluginDir.map((path) => resolve(cwd, path)),
    plugins: { pluginOption: flags.pluginOption, pluginGrant: flags.pluginGrant },
    config: flags.config === undefined ? undefined : resolve(cwd, flags.config),
    callsystem: flags.callsystem,
    showProgress: flags.showProgress,
    console: flags.console,
    verbose: flags.verbose,
    json: flags.json,
    warnings,
  }
}

function readUrl(text: string | undefined): string {
  if (text === undefined || text === '') throw invalid('no URL was given: write dfget URL -O FILE')
  if (!URL.canParse(text)) throw invalid(`"${concealed(text)}" is not a URL: write it as scheme://host/path`)
  const url = new URL(text)
  if (url.host === '' && url.protocol !== 'file:') {
    throw invalid(`url: ${concealed(text)}: invalid argument: it names no host; write it as scheme://host/path`)
  }
  // A fragment is for the reader of the file: no origin ever sees it, and it must not make another task.
  return text.replace(/#.*$/s, '')
}

/** Something that is meant as a URL, without what may be secret in it: who asks, and the values of the query. */
function concealed(text: string): string {
  return text.replace(/[?#].*$/s, '?…').replace(/[^/]*@/, '[hidden]@')
}

function readPattern(flags: DownloadFlags): Pattern {
  if (flags.pattern === '') return 'p2p'
  const pattern = PATTERNS.find((known) => known === flags.pattern)
  if (pattern === undefined) throw invalid(`--pattern "${flags.pattern}" is none of ${PATTERNS.join(', ')}`)
  if (pattern === 'source' && flags.disableBackSource) {
    throw invalid('-p source and --disable-back-source leave nobody to ask: drop one of them')
  }
  return pattern
}

/** Headers with lower-case names; values of the same name are joined as HTTP does. Values are taken as they stand. */
export function readHeaders(lines: readonly string[]): Record<string, string> {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0)).trim()
    const value = line.slice(colon + 1).trim()
    // The value stays out of the message: it may be a credential.
    if (colon < 0) throw invalid(`header format error: a header has no colon; write -H "Name: value"`)
    if (!HEADER_NAME.test(name)) throw invalid(`header format error: "${name}" is not a header name`)
    if (value === '') throw invalid(`header format error: ${name} has no value; write -H "${name}: value"`)
    if (/[\r\n\0]/.test(value)) throw invalid(`header format error: the value of ${name} holds a line break`)
    addHeader(headers, name.toLowerCase(), value)
  }
  const all = Object.fromEntries(headers)
  if (JSON.stringify(all).length > MAX_HEADER_BYTES) throw invalid(`the headers exceed ${MAX_HEADER_BYTES} bytes`)
  return all
}

function addHeader(headers: Map<string, string>, name: string, value: string): void {
  const before = headers.get(name)
  if (before !== undefined && SINGLE_HEADERS.has(name)) throw invalid(`the header ${name} was given twice: drop one`)
  const comma = name === 'cookie' ? '; ' : ', '
  headers.set(name, before === undefined ? value : `${before}${comma}${value}`)
}

/** A Range header counts more than `--range`, as it always did. */
function readRange(
  flag: string | undefined,
  given: Readonly<Record<string, string>>,
  warnings: string[],
): { range: RangeRequest | undefined; headers: Record<string, string> } {
  const { range: header, ...headers } = given
  // Most likely a shell variable that is not set: the whole file is not what was meant.
  if (flag === '') throw invalid('--range "" is not a range; write for example 0-1023, 1024- or -1024')
  if (header === undefined) return { range: flag === undefined ? undefined : parseRange(flag), headers }
  if (flag !== undefined) warnings.push(`the Range header (${header}) is used, --range ${flag} is not`)
  return { range: parseRange(header), headers }
}

/** The absolute path of the output; undefined for stdout. */
function readOutput(flag: string | undefined, url: string, cwd: string): string | undefined {
  if (flag === '-') return undefined
  const path = resolve(cwd, flag === undefined || flag === '' ? nameFrom(url) : flag)
  if (flag?.endsWith('/') || isDirectory(path)) {
    throw new Failure('output.invalid', `path[${path}] is directory but requires file path: name a file with -O`)
  }
  checkWritable(path)
  return path
}

/** Also false for what cannot be looked at: `checkWritable` says why. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

function nameFrom(url: string): string {
  const name = basename(new URL(url).pathname)
  const plain = decode(name)
  if (plain === '' || plain === '.' || plain === '..' || /[/\0]/.test(plain)) {
    throw invalid(`the URL ${redactUrl(url)} does not end with a file name: name the output with -O FILE`)
  }
  return plain
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Looks at the nearest directory above that is there: the missing ones below it are made when the download begins. */
function checkWritable(path: string): void {
  let directory = dirname(path)
  while (!existsSync(directory) && dirname(directory) !== directory) directory = dirname(directory)
  try {
    if (!statSync(directory).isDirectory()) throw new Error(`${directory} is not a directory`)
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Failure('output.invalid', `cannot write ${path}: ${messageOf(error)}`, { cause: error })
  }
}

function readFlag<T>(flag: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    throw invalid(`${flag} "${text}" ${messageOf(error)}`)
  }
}

function invalid(message: string): Failure {
  return new Failure('usage.invalid', message)
}

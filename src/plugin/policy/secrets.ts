import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { Failure, formatBytes, messageOf } from '#core'
import { redactUrl } from '#runtime'
import { mapLeaves } from './option-tree.ts'

const HIDDEN = '[hidden]'
const SECRET_KEY =
  /authorization|cookie|passw|pwd|passphrase|secret|token|credential|private|signature|(api|access)[-_]?key/i
const REFERENCE = /^(?:env:([A-Za-z_][A-Za-z0-9_]*)|file:(\/(?!\/).*))$/s
/** A key, a password, a certificate with its chain; not some other file that was named by mistake. */
const LARGEST_SECRET_BYTES = 64 * 1024
/** Shorter values stand in too many words to be taken out of them. */
const SHORTEST_SCRUBBED_CHARS = 4
/** Where a text was too long, and was cut off before it came here. */
const CUT = '…'

/** What a reference names: the value of an environment variable, or the text of a file. */
export interface SecretPlaces {
  readonly env: NodeJS.ProcessEnv
  readFile(path: string): Promise<string>
}

/** `env:NAME` or `file:/absolute/path`, and nothing else: `file:///x` is a URL that a plugin may take. */
export function isReference(value: unknown): value is string {
  return typeof value === 'string' && REFERENCE.test(value)
}

/** Whether what stands under a key is most likely not for everybody's eyes. */
export function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key)
}

/** The value that a reference names. Fails with `config.invalid` that names the key and the reference. */
export async function secretOf(key: string, reference: string, places: SecretPlaces): Promise<string> {
  const [, variable, path = ''] = REFERENCE.exec(reference) ?? []
  if (variable !== undefined) {
    const value = Object.hasOwn(places.env, variable) ? places.env[variable] : undefined
    if (value !== undefined && value !== '') return value
    throw new Failure('config.invalid', `${key}: ${reference} names an environment variable that is not set`)
  }
  let text: string
  try {
    text = await places.readFile(path)
  } catch (error) {
    throw new Failure('config.invalid', `${key}: ${reference} cannot be read: ${messageOf(error)}`)
  }
  const value = text.replace(/\r?\n$/, '')
  if (value !== '') return value
  throw new Failure('config.invalid', `${key}: ${reference} names an empty file`)
}

/** The text of a small regular file: a pipe could keep its reader waiting, and a device has no end. */
export async function readSecretFile(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  if (!(await file.stat()).isFile()) throw new Error('it is not a regular file')
  const buffer = Buffer.alloc(LARGEST_SECRET_BYTES + 1)
  let length = 0
  for (let read = -1; read !== 0 && length < buffer.length; length += read)
    ({ bytesRead: read } = await file.read(buffer, length))
  if (length > LARGEST_SECRET_BYTES) throw new Error(`it has more than ${formatBytes(LARGEST_SECRET_BYTES)}`)
  const bytes = buffer.subarray(0, length)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Error('it is not a text in UTF-8')
  }
}

/** Options as a listing may show them: references as they stand, other values under secret-looking keys hidden. */
export function redactOptions(raw: unknown): unknown {
  try {
    return mapLeaves('plugins', raw, (value, path) => {
      if (isReference(value) || value === null || value === undefined) return value
      if (path.some(isSecretKey)) return HIDDEN
      return typeof value === 'string' && /:\/\/.*[@?#]/s.test(value) ? redactUrl(value) : value
    })
  } catch {
    return HIDDEN
  }
}

/** By the list of a plugin's secrets, which stays the same one: what it prints is scrubbed line by line. */
const SPELLINGS = new WeakMap<readonly string[], readonly string[]>()

/**
 * A text of the plugin's without the secrets that it was given, in the spellings in which they come to be in texts: as
 * they are, by lines, in a URL, in JSON, in base64.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  if (secrets.length === 0) return text
  const spellings = SPELLINGS.get(secrets) ?? spellingsOf(secrets)
  SPELLINGS.set(secrets, spellings)
  // No pattern of all of them: a long one cannot be compiled, and the error of that repeats it.
  const whole = spellings.reduce((scrubbed, spelling) => scrubbed.replaceAll(spelling, HIDDEN), text)
  const [last = '', ...before] = whole.split(CUT).toReversed()
  return [...before.toReversed().map((part) => withoutStart(part, spellings)), last].join(CUT)
}

/** A text without what it ends with, where that is how a secret begins: the rest of it was cut off. */
function withoutStart(text: string, spellings: readonly string[]): string {
  const longest = Math.max(0, ...spellings.map((spelling) => startAtEnd(text, spelling)))
  return longest === 0 ? text : text.slice(0, -longest) + HIDDEN
}

function startAtEnd(text: string, spelling: string): number {
  for (let length = Math.min(text.length, spelling.length - 1); length >= SHORTEST_SCRUBBED_CHARS; length--)
    if (text.endsWith(spelling.slice(0, length))) return length
  return 0
}

/** The same of everything in plain data: keys too. */
export function scrubAll(value: unknown, secrets: readonly string[]): unknown {
  if (typeof value === 'string') return scrub(value, secrets)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((inner) => scrubAll(inner, secrets))
  const entries = Object.entries(value).map(([key, inner]) => [scrub(key, secrets), scrubAll(inner, secrets)] as const)
  return Object.fromEntries(entries)
}

/** The longest first: one may be a part of another one. */
function spellingsOf(secrets: readonly string[]): readonly string[] {
  const parts = secrets
    .flatMap((secret) => [secret, secret.replace(/\s+/g, ' '), ...secret.split(/\r?\n/)])
    .map((part) => part.trim())
    .filter((part) => part.length >= SHORTEST_SCRUBBED_CHARS)
  return [...new Set(parts.flatMap(formsOf))].toSorted((a, b) => b.length - a.length)
}

function formsOf(part: string): string[] {
  const bytes = Buffer.from(part)
  const base64 = bytes.toString('base64').replace(/=+$/, '')
  const inUrl = encodeURIComponent(bytes.toString())
  return [part, inUrl, JSON.stringify(part).slice(1, -1), base64, bytes.toString('base64url')]
}

/** The password of a URL such as `http://user:password@proxy`, as it is written and as it is meant. */
export function passwordsIn(text: string): string[] {
  if (!text.includes('@') || !URL.canParse(text)) return []
  const { password } = new URL(text)
  if (password === '') return []
  try {
    return [password, decodeURIComponent(password)]
  } catch {
    return [password]
  }
}

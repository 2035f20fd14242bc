import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, type FailureCode, messageOf } from '#core'
import { redactText } from '#source'

export interface PackedPackage {
  /** The `.tgz`. */
  readonly file: string
  /** `name@version`. */
  readonly id: string
}

const TIMEOUT_MS = 120_000
const LARGEST_ANSWER_BYTES = 16 * 2 ** 20

/**
 * Fetches a package with the `npm` of this machine: with its registry, its credentials and its check of the integrity
 * that the registry tells. `npm pack` gives the archive as it was published: no dependencies, and no script is run.
 * `dir` is a private directory. Fails with `source.*`, or with `usage.invalid` where there is no npm.
 */
export async function packFromNpm(
  spec: string,
  dir: string,
  { env, signal }: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal },
): Promise<PackedPackage> {
  const args = [
    'pack',
    '--json',
    '--ignore-scripts',
    '--no-update-notifier',
    '--prefix',
    dir,
    '--pack-destination',
    dir,
    '--',
    spec,
  ]
  // In the private directory, and called its prefix: an .npmrc where somebody happens to be, or above in /tmp, which
  // anybody may put there, has no say.
  const { error, stdout } = await run('npm', args, { cwd: dir, env, signal })
  signal.throwIfAborted()
  const answer = parse(stdout)
  if (error !== undefined) throw failureOf(spec, error, answer)
  const [name, ...others] = (await readdir(dir)).filter((entry) => entry.endsWith('.tgz'))
  if (name === undefined || others.length > 0) throw new Failure('source.broken', `npm gave no package for ${spec}`)
  return { file: join(dir, name), id: idOf(answer) ?? spec }
}

interface Answer {
  readonly error: (Error & { readonly killed?: boolean | undefined }) | undefined
  readonly stdout: string
}

function run(
  command: string,
  args: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv; signal: AbortSignal },
): Promise<Answer> {
  const limits = { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: LARGEST_ANSWER_BYTES } as const
  return new Promise((resolve) => {
    execFile(command, args, { ...options, ...limits }, (error, stdout) =>
      resolve({ error: error ?? undefined, stdout }),
    )
  })
}

const CODES: readonly [RegExp, FailureCode][] = [
  [/^(E404|ETARGET|ENOVERSIONS)$/, 'source.not_found'],
  [/^(E401|E403|ENEEDAUTH|EOTP)$/, 'source.denied'],
  [/^(EINTEGRITY|EBADENGINE|ENOTCACHED)$/, 'source.broken'],
]

function failureOf(spec: string, error: NonNullable<Answer['error']>, answer: unknown): Failure {
  if ('code' in error && error.code === 'ENOENT')
    return new Failure('usage.invalid', `there is no npm on this machine to fetch ${spec}: give a file or a URL`)
  const told = isRecord(answer) && isRecord(answer['error']) ? answer['error'] : {}
  const code = typeof told['code'] === 'string' ? told['code'] : ''
  const summary = typeof told['summary'] === 'string' ? redactText(told['summary']) : ''
  const reason = error.killed === true ? `no answer within ${TIMEOUT_MS / 1000} s` : summary || firstLine(error)
  const found = CODES.find(([pattern]) => pattern.test(code))
  return new Failure(found?.[1] ?? 'source.unreachable', `npm cannot fetch ${spec}: ${reason}`)
}

function firstLine(error: Error): string {
  return redactText(
    messageOf(error)
      .split('\n')
      .find((line) => line.startsWith('npm err')) ?? 'it failed',
  )
}

/** npm answers with a list of packages. */
function idOf(answer: unknown): string | undefined {
  const first: unknown = Array.isArray(answer) ? answer[0] : undefined
  const id = isRecord(first) ? first['id'] : undefined
  return typeof id === 'string' && id.length <= 300 ? id : undefined
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

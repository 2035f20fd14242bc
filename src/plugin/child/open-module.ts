import { pathToFileURL } from 'node:url'
import type { OpenRequest } from '../apart/messages.ts'
import { describe, oneLine, thrownMessage } from '../one-line.ts'
import { checkOptions } from './check-options.ts'
import { saidOf } from './denied.ts'

export interface OpenedModule {
  readonly client: object
  readonly metadata: unknown
  readonly methods: readonly string[]
  readonly hasSchema: boolean
}

/** Everything a host may ever call, whatever the type of the plugin. */
const METHODS = [
  'getContentLength',
  'isSupportRange',
  'isExpired',
  'download',
  'getLastModified',
  'list',
  'stat',
  'evaluate',
  'evaluateParents',
  'isBadParent',
  'findSchedulerCluster',
]

const LONGEST_METADATA_CHARS = 64 * 1024

/**
 * Imports a plugin's file and runs its init. Runs in the plugin's own process or thread. Throws an Error whose message
 * is the reason in one line; its `code` is `config.invalid` where the options are at fault.
 */
export async function openModule(request: OpenRequest): Promise<OpenedModule> {
  const { file, options, scheme, deadlineMs } = request
  const module = await within(deadlineMs, 'loading the module', importFile(file, scheme))
  const schema = exportOf(module, 'DragonflyPluginOptions')
  const given = Object(options) as Record<string, unknown>
  const checked =
    schema === undefined
      ? given
      : await within(deadlineMs, 'checking the options', checkOptions(schema, given, `plugins.${scheme}`))
  const answer = await within(deadlineMs, 'DragonflyPluginInit', callInit(initOf(module), checked, scheme))
  const metadata = plainMetadata(read(answer, 'metadata'))
  const client = read(answer, 'client')
  if (!isObject(client)) throw new Error(`invalid client: client is ${describe(client)}, expected an object`)
  const methods = METHODS.filter((name) => typeof read(client, name) === 'function')
  return { client, metadata, methods, hasSchema: schema !== undefined }
}

async function importFile(file: string, scheme: string): Promise<unknown> {
  try {
    return (await import(pathToFileURL(file).href)) as unknown
  } catch (error) {
    const advice = isMissingModule(error) ? '; bundle what the plugin needs into its file' : ''
    throw new Error(`it cannot be loaded: ${toldMessage(error, scheme)}${advice}`, { cause: error })
  }
}

/** A named export; for CommonJS that Node could not analyse, and for transpiled modules, it is below `default`. */
function exportOf(module: unknown, name: string): unknown {
  const places = isObject(module) ? [module, read(module, 'default')] : []
  return places.map((place) => (isObject(place) ? read(place, name) : undefined)).find((found) => found !== undefined)
}

type Init = (options: Readonly<Record<string, unknown>>) => unknown

function initOf(module: unknown): Init {
  const init = exportOf(module, 'DragonflyPluginInit')
  if (typeof init === 'function') return init as Init
  if (init !== undefined)
    throw new Error(
      `invalid plugin init function signature: DragonflyPluginInit is ${describe(init)}, expected a function`,
    )
  const names = isObject(module) ? Object.keys(module).slice(0, 5).join(', ') : ''
  throw new Error(`symbol DragonflyPluginInit not found: the module exports ${names === '' ? 'nothing' : names}`)
}

async function callInit(init: Init, options: Readonly<Record<string, unknown>>, scheme: string): Promise<object> {
  let answer: unknown
  try {
    answer = await init(options)
  } catch (error) {
    throw new Error(`DragonflyPluginInit failed: ${toldMessage(error, scheme)}`, { cause: error })
  }
  if (isObject(answer)) return answer
  throw new Error(`DragonflyPluginInit returned ${describe(answer)}, expected { client, metadata }`)
}

/** Everything a plugin says of itself, as JSON holds it. */
function plainMetadata(value: unknown): unknown {
  if (value === undefined || value === null) throw new Error('empty plugin metadata: expected type, name and scheme')
  if (!isObject(value) || Array.isArray(value)) throw new Error(`metadata is ${describe(value)}, expected an object`)
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new Error(`metadata is not plain data: ${thrownMessage(error)}`, { cause: error })
  }
  if (text === undefined || text.length > LONGEST_METADATA_CHARS)
    throw new Error(`metadata is too long, expected at most ${LONGEST_METADATA_CHARS} characters of JSON`)
  const plain: unknown = JSON.parse(text)
  return plain
}

/** Rejects when `work` takes too long. What it does afterwards is nobody's business any more. */
async function within<T>(deadlineMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${deadlineMs / 1000} s`)), deadlineMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What a plugin threw, with what to grant where that is what it lacks. */
function toldMessage(error: unknown, scheme: string): string {
  try {
    return thrownMessage(new Error(saidOf(error, scheme)))
  } catch {
    return thrownMessage(error)
  }
}

/** A property of a plugin's object; reading it can run the plugin's code. */
function read(object: object, key: string): unknown {
  try {
    const value: unknown = Reflect.get(object, key)
    return value
  } catch (error) {
    throw new Error(oneLine(`reading ${key} failed: ${thrownMessage(error)}`), { cause: error })
  }
}

/** Functions are objects too: a class with static methods may be a client. */
function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function isMissingModule(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND')
  )
}

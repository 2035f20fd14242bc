import { Failure, messageOf } from '#core'
import type { Entry, ExpireInfo, ResourceClient, ResourceInfo, SourceRequest, SourceResponse } from '#source'
import { redactUrl } from '#source'
import { ApartBody } from './apart-body.ts'
import type { CallBook } from './call-book.ts'
import type { PlainRequest, Question } from './messages.ts'
import type { Supervised } from './supervised.ts'

export interface ApartClientOptions {
  readonly scheme: string
  /** As messages name the plugin. */
  readonly name: string
  readonly methods: readonly string[]
  readonly book: CallBook
  /** Secrets that the plugin was given, out of what it says. */
  readonly scrub: (text: string) => string
}

/** A plugin in a process of its own, as the host calls it. It has the methods that the plugin has. */
export function apartClient(plugin: Supervised, options: ApartClientOptions): ResourceClient {
  const ask = async (method: string, request: SourceRequest, info?: ExpireInfo): Promise<unknown> => {
    const plain = plainRequest(request)
    const question = { ask: 'call', method, request: plain, ...(info === undefined ? {} : { info }) } as const
    return answerOf(plugin, options, method, question, request)
  }
  // What comes is checked where it is used (client-source, describe-client): a stranger's word, whatever its type says.
  const all = {
    stat: (request) => ask('stat', request) as Promise<ResourceInfo>,
    getContentLength: (request) => ask('getContentLength', request) as Promise<number>,
    isSupportRange: (request) => ask('isSupportRange', request) as Promise<boolean>,
    isExpired: (request, info) => ask('isExpired', request, info) as Promise<boolean>,
    getLastModified: (request) => ask('getLastModified', request) as Promise<number>,
    list: (request) => entriesOf(plugin, options, request),
    download: (request) => downloadOf(plugin, options, request),
  } satisfies Required<ResourceClient>
  const there = Object.entries(all).filter(([name]) => options.methods.includes(name) || name === 'download')
  return Object.fromEntries(there) as unknown as ResourceClient
}

async function answerOf(
  plugin: Supervised,
  options: ApartClientOptions,
  method: string,
  question: Question,
  request: SourceRequest,
): Promise<unknown> {
  const counted = options.book.open(options.scheme, method)
  try {
    const call = await plugin.ask(question, request.signal)
    try {
      const message = await call.message()
      counted.end()
      return (Object(message) as { result?: unknown }).result
    } finally {
      call.close()
    }
  } catch (error) {
    counted.end(error)
    throw told(error, options, request.url)
  }
}

async function downloadOf(
  plugin: Supervised,
  options: ApartClientOptions,
  request: SourceRequest,
): Promise<SourceResponse> {
  const counted = options.book.open(options.scheme, 'download')
  try {
    const call = await plugin.ask({ ask: 'download', request: plainRequest(request) }, request.signal)
    try {
      const head = Object(await call.message()) as Omit<SourceResponse, 'body'>
      const body = new ApartBody(call, {
        onBytes: (bytes) => counted.bytes(bytes),
        onEnd: (error) => counted.end(error),
        told: (error) => told(error, options, request.url),
      })
      return { ...head, body }
    } catch (error) {
      call.close()
      throw error
    }
  } catch (error) {
    counted.end(error)
    throw told(error, options, request.url)
  }
}

async function* entriesOf(
  plugin: Supervised,
  options: ApartClientOptions,
  request: SourceRequest,
): AsyncGenerator<Entry> {
  const counted = options.book.open(options.scheme, 'list')
  try {
    const call = await plugin.ask({ ask: 'list', request: plainRequest(request) }, request.signal)
    try {
      for (let entry = await call.message(); entry !== undefined; entry = await call.message()) yield entry as Entry
    } finally {
      call.close()
    }
    counted.end()
  } catch (error) {
    counted.end(error)
    throw told(error, options, request.url)
  } finally {
    counted.end()
  }
}

/** What befell the plugin, with its name; what it said itself, without the secrets it was given. */
function told(error: unknown, { name, scrub }: ApartClientOptions, url: string): unknown {
  if (error instanceof Failure) {
    if (!error.code.startsWith('plugin.')) return error
    return new Failure(error.code, `cannot read ${redactUrl(url)}: ${name}: ${error.message}`, { cause: error })
  }
  // The reason of an abort is a DOMException: nothing of the plugin's, and not to be written to.
  if (error instanceof Error && !(error instanceof DOMException)) {
    error.message = scrub(messageOf(error))
    if (error.stack !== undefined) error.stack = scrub(error.stack)
  }
  return error
}

function plainRequest({ url, headers, range }: SourceRequest): PlainRequest {
  return { url, headers, ...(range === undefined ? {} : { range }) }
}

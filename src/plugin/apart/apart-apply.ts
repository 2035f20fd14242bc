import { Failure, messageOf } from '#core'
import type { CallBook } from './call-book.ts'
import type { Supervised } from './supervised.ts'

export interface ApplyOptions {
  readonly scheme: string
  readonly book: CallBook
  /** Secrets that the plugin was given, out of what it says. */
  readonly scrub: (text: string) => string
}

/**
 * Calls a method of a plugin that is no source, in its own process, with plain data for arguments (frozen there).
 * Counted and traced as calls of sources are. Fails with `plugin.crashed`, `plugin.hung`, `plugin.down`, or an Error
 * with what the plugin threw.
 */
export async function apply(
  plugin: Supervised,
  { scheme, book, scrub }: ApplyOptions,
  call: { readonly method: string; readonly args: readonly unknown[]; readonly signal: AbortSignal },
): Promise<unknown> {
  const { method, args, signal } = call
  const counted = book.open(scheme, method)
  try {
    const asked = await plugin.ask({ ask: 'apply', method, args }, signal)
    try {
      const message = await asked.message()
      counted.end()
      return (Object(message) as { result?: unknown }).result
    } finally {
      asked.close()
    }
  } catch (error) {
    const known = error instanceof Failure
    counted.end(known ? error : new Failure('plugin.broken', 'it threw'))
    if (error instanceof Error && !known && !(error instanceof DOMException)) error.message = scrub(messageOf(error))
    throw error
  }
}

import type { ErrorMessage } from '../apart/messages.ts'
import { saidOf } from './denied.ts'

const LONGEST_CHARS = 4096

/** Whatever the plugin of a scheme threw, as plain data. Its getters may throw again. */
export function describeError(error: unknown, scheme: string): ErrorMessage {
  try {
    const { code, retryAfterMs, lasting } = Object(error) as Record<string, unknown>
    const said = saidOf(error, scheme)
    return {
      message: said.length > LONGEST_CHARS ? `${said.slice(0, LONGEST_CHARS)}…` : said,
      ...(typeof code === 'string' ? { code: code.slice(0, 100) } : {}),
      ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
      ...(lasting === true ? { lasting } : {}),
    }
  } catch {
    return { message: 'it threw something unreadable' }
  }
}

import { messageOf } from '#core'
import type { ErrorMessage } from '../apart/messages.ts'

const LONGEST_CHARS = 4096

/** Whatever a plugin threw, as plain data. Its getters may throw again. */
export function describeError(error: unknown): ErrorMessage {
  try {
    const { code, retryAfterMs, lasting } = Object(error) as Record<string, unknown>
    const said: unknown = messageOf(error)
    return {
      message: typeof said === 'string' ? said.slice(0, LONGEST_CHARS) : '',
      ...(typeof code === 'string' ? { code: code.slice(0, 100) } : {}),
      ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
      ...(lasting === true ? { lasting } : {}),
    }
  } catch {
    return { message: 'it threw something unreadable' }
  }
}

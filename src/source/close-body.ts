import { types } from 'node:util'

/** Lets go of a body that is not read to its end. Nobody waits for it: a plugin may hang here too. */
export function closeBody(body: unknown): void {
  if (typeof body !== 'object' || body === null || types.isUint8Array(body)) return
  if ('destroy' in body && typeof body.destroy === 'function') quietly(() => (body.destroy as () => unknown)())
  else if ('cancel' in body && typeof body.cancel === 'function') quietly(() => (body.cancel as () => unknown)())
  else if (Symbol.asyncIterator in body) {
    quietly(() => closeIterator((body as AsyncIterable<unknown>)[Symbol.asyncIterator]()))
  }
}

export function closeIterator(iterator: AsyncIterator<unknown>): void {
  quietly(() => iterator.return?.())
}

function quietly(call: () => unknown): void {
  try {
    Promise.resolve(call()).catch(() => undefined)
  } catch {
    // What a client says to being let go of does not matter any more.
  }
}

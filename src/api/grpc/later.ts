/**
 * Runs `listener` in a turn of its own. Node tells of the end of a stream from inside nghttp2, which has not let go of
 * the stream yet; whoever closes the connection, or resets another stream of it, just then can send Node (20.20) into a
 * loop that never ends and fills the memory. So nothing outside of this folder hears of an end at once.
 */
export function later(listener: () => void): () => void {
  return () => void setImmediate(listener)
}

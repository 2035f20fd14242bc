import { crosses, pieceLengthOf } from './editions.ts'
import type { EdgeLoad, Host, Peer } from './model.ts'

/** Makes them parent and child, and counts it. They are not yet. */
export function addEdge(parent: Peer, child: Peer): void {
  child.load ??= loadOf(child)
  child.parents.add(parent)
  parent.children.add(child)
  count(parent, child, child.load, 1)
}

/** The opposite. They are parent and child. */
export function removeEdge(parent: Peer, child: Peer): void {
  if (child.load !== undefined) count(parent, child, child.load, -1)
  child.parents.delete(parent)
  parent.children.delete(child)
  if (child.via === parent) child.via = undefined
  if (child.parents.size === 0) child.load = undefined
}

/** As of now, for all edges of the child: what is learned of the task later must not change what was counted before. */
function loadOf(child: Peer): EdgeLoad {
  const bytes = (child.edition === undefined ? 0 : pieceLengthOf(child.edition)) * child.concurrentPieces
  return { pieces: child.concurrentPieces, bytes, owedBytes: child.edition?.contentLength ?? bytes }
}

function count(parent: Peer, child: Peer, load: EdgeLoad, sign: 1 | -1): void {
  countUpload(parent.host, load, sign)
  if (child.edition === undefined || !crosses(parent, child)) return
  const { crossings } = child.edition
  const left = (crossings.get(child.idc) ?? 0) + sign
  if (left > 0) crossings.set(child.idc, left)
  else crossings.delete(child.idc)
}

function countUpload({ uploads }: Host, load: EdgeLoad, sign: 1 | -1): void {
  uploads.children += sign
  uploads.pieces += sign * load.pieces
  uploads.bytes += sign * load.bytes
  uploads.owedBytes += sign * load.owedBytes
}

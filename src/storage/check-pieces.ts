import { blake3 } from '@napi-rs/blake-hash'
import { BLOCK_LENGTH } from '#core'
import type { ContentFile } from './content-file.ts'
import type { HeldPiece } from './contract.ts'
import { blocksOf } from './journal-state.ts'

/**
 * Reads pieces from disk and checks them against their block digests; each block that is right goes to `block` before
 * the next is read. False when one is not, or cannot be read.
 */
export async function isIntact(
  content: ContentFile,
  piece: HeldPiece,
  block?: (bytes: Uint8Array, offset: number) => Promise<void>,
): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(Math.min(piece.length, BLOCK_LENGTH))
  for (const { offset, length, digest } of blocksOf(piece)) {
    const bytes = buffer.subarray(0, length)
    // A block that the disk does not give back is as lost as one that changed.
    const read = await content.read(bytes, offset).catch(() => 0)
    if (read < length || Buffer.compare(blake3(bytes), digest) !== 0) return false
    await block?.(bytes, offset)
  }
  return true
}

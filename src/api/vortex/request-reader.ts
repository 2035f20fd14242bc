import { Failure } from '#core'
import {
  BLOCKS_REQUEST_LENGTH,
  type BlockSpan,
  decodeBlocksRequest,
  decodeHeader,
  decodeRequest,
  HEADER_LENGTH,
  type Header,
  REQUEST_LENGTH,
  TAG,
} from './codec.ts'

/** What a child asks for: a piece, as stock children do, or blocks of one. */
export type Request =
  | { readonly kind: 'piece'; readonly taskId: string; readonly number: number }
  | ({ readonly kind: 'blocks' } & BlockSpan)

/** Cuts what a child sends into requests. Keeps less than one of them between two chunks. */
export class RequestReader {
  #rest: Uint8Array = new Uint8Array(0)

  /** The requests that are whole with this chunk. Throws `piece.corrupt` for what is none. */
  read(chunk: Uint8Array): Request[] {
    const requests: Request[] = []
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.length - at >= HEADER_LENGTH) {
      const header = decodeHeader(bytes.subarray(at, at + HEADER_LENGTH))
      checkHeader(header)
      const end = at + HEADER_LENGTH + header.length
      if (end > bytes.length) break
      requests.push(decode(header, bytes.subarray(at + HEADER_LENGTH, end)))
      at = end
    }
    this.#rest = Uint8Array.from(bytes.subarray(at))
    return requests
  }
}

function checkHeader({ tag, length }: Header): void {
  if (tag === TAG.downloadPiece && length === REQUEST_LENGTH) return
  if (tag === TAG.downloadBlocks && length === BLOCKS_REQUEST_LENGTH) return
  throw new Failure('piece.corrupt', `a packet of kind ${tag} with ${length} bytes is no request`)
}

function decode({ tag }: Header, value: Uint8Array): Request {
  if (tag === TAG.downloadPiece) return { kind: 'piece', ...decodeRequest(value) }
  return { kind: 'blocks', ...decodeBlocksRequest(value) }
}

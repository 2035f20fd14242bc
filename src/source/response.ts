import type { ExpireInfo, Headers, SourceResponse } from './contract.ts'

export interface ResponseOptions {
  /** 206 for the bytes of a range, 200 (the default) for the whole. */
  readonly status?: number
  readonly headers?: Headers
  /** Bytes in the body; −1 (the default) when it is not known. Say it where you can: the host checks it. */
  readonly contentLength?: number
  readonly expireInfo?: ExpireInfo
}

/** An answer to `download`, everything filled in. A plain object does as well. */
export function newResponse(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  options: ResponseOptions = {},
): Required<SourceResponse> {
  const { status = 200, headers = {}, contentLength = -1, expireInfo = {} } = options
  return { body, status, headers, contentLength, expireInfo }
}

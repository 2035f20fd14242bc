import type { FailureCode } from '#core'

/** How a message becomes bytes and back. `decode` throws for what is no such message. */
export interface Codec<T> {
  encode(message: T): { finish(): Uint8Array }
  decode(bytes: Uint8Array): T
}

/** One request and one answer; one request and many answers; many of both. */
export type Kind = 'unary' | 'serverStream' | 'bidi'

/** One thing that can be asked of a server, as both sides know it. */
export interface Method<Req, Res, K extends Kind = Kind> extends MethodOptions<Req, Res> {
  /** `/<package>.<Service>/<Method>` */
  readonly path: string
  readonly kind: K
  readonly request: Codec<Req>
  readonly response: Codec<Res>
}

export interface MethodOptions<Req, Res> {
  /** Run by the server on every message it takes; throws `usage.invalid` naming the field. */
  check?(request: Req): void
  /** Run by the client on every message it takes; throws `usage.invalid` naming the field. */
  checkResponse?(response: Res): void
  /** The caller's `grpc-timeout` counts until the first answer at most: stock peers put 10 s on endless streams. */
  readonly ignoreTimeout?: boolean
  /** Largest message taken from the caller; 4 MiB when not given. */
  readonly maxRequestBytes?: number
  /** Largest message taken from the server; 4 MiB when not given. */
  readonly maxResponseBytes?: number
  /** What NOT_FOUND means here when the server is not one of ours; `task.unknown` when not given. */
  readonly notFound?: FailureCode
}

export const DEFAULT_MESSAGE_BYTES = 4 * 2 ** 20

/** Methods by the name they have in code. */
export type Service = Readonly<Record<string, Method<unknown, unknown>>>

export function unary<Req, Res>(
  path: string,
  request: Codec<Req>,
  response: Codec<Res>,
  options: MethodOptions<Req, Res> = {},
): Method<Req, Res, 'unary'> {
  return { ...options, path, kind: 'unary', request, response }
}

export function serverStream<Req, Res>(
  path: string,
  request: Codec<Req>,
  response: Codec<Res>,
  options: MethodOptions<Req, Res> = {},
): Method<Req, Res, 'serverStream'> {
  return { ...options, path, kind: 'serverStream', request, response }
}

export function bidi<Req, Res>(
  path: string,
  request: Codec<Req>,
  response: Codec<Res>,
  options: MethodOptions<Req, Res> = {},
): Method<Req, Res, 'bidi'> {
  return { ...options, path, kind: 'bidi', request, response }
}

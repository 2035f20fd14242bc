import type { Method, Service } from './method.ts'

/** What a handler knows of the call it answers. */
export interface Call {
  /** Aborted when the caller hung up, its deadline passed, or the server closes. Its reason is a Failure. */
  readonly signal: AbortSignal
  /** Address of the caller, or `unix`. */
  readonly peer: string
  /** Request headers that are not gRPC's own, lower-case names. */
  readonly metadata: Readonly<Record<string, string>>
}

/** The function that answers a method. Failures and StatusErrors it throws are told to the caller, nothing else is. */
export type Handler<M> =
  M extends Method<infer Req, infer Res, infer K>
    ? {
        unary: (request: Req, call: Call) => Promise<Res> | Res
        serverStream: (request: Req, call: Call) => AsyncIterable<Res>
        bidi: (requests: AsyncIterable<Req>, call: Call) => AsyncIterable<Res>
      }[K]
    : never

/** Handlers by the names of the service; a missing one is answered with UNIMPLEMENTED. */
export type Handlers<S extends Service> = { readonly [K in keyof S]?: Handler<S[K]> }

/** A method and its handler, with the types forgotten: `implement` has checked that they fit. */
export interface Route {
  readonly method: Method<unknown, unknown>
  handle(input: unknown, call: Call): unknown
}

export function implement<S extends Service>(service: S, handlers: Handlers<S>): readonly Route[] {
  return Object.entries(service).flatMap(([name, method]): Route[] => {
    const handler = handlers[name] as Route['handle'] | undefined
    return handler === undefined ? [] : [{ method, handle: (input, call) => handler.call(handlers, input, call) }]
  })
}

import type { Channel } from './channel.ts'
import type { BidiCall, CallOptions } from './client-call.ts'
import type { Method, Service } from './method.ts'

/** How a method is called. */
export type Caller<M> =
  M extends Method<infer Req, infer Res, infer K>
    ? {
        unary: (request: Req, options?: CallOptions) => Promise<Res>
        serverStream: (request: Req, options?: CallOptions) => AsyncIterableIterator<Res, undefined>
        bidi: (options?: CallOptions) => BidiCall<Req, Res>
      }[K]
    : never

/** The methods of a service, each a function, and the channel they are called through. */
export type Client<S extends Service> = { readonly [K in keyof S]: Caller<S[K]> } & Pick<
  Channel,
  'address' | 'connections'
>

export function clientOf<S extends Service>(service: S, channel: Channel): Client<S> {
  const callers = Object.entries(service).map(([name, method]) => [name, callerOf(method, channel)] as const)
  const { address } = channel
  const about = {
    address,
    get connections() {
      return channel.connections
    },
  }
  return Object.assign(about, Object.fromEntries(callers)) as Client<S>
}

function callerOf(method: Method<unknown, unknown>, channel: Channel): unknown {
  if (isKind(method, 'unary'))
    return (request: unknown, options?: CallOptions) => channel.unary(method, request, options)
  if (isKind(method, 'serverStream'))
    return (request: unknown, options?: CallOptions) => channel.serverStream(method, request, options)
  if (isKind(method, 'bidi')) return (options?: CallOptions) => channel.bidi(method, options)
  return undefined
}

function isKind<K extends Method<unknown, unknown>['kind']>(
  method: Method<unknown, unknown>,
  kind: K,
): method is Method<unknown, unknown, K> {
  return method.kind === kind
}

import type { Channel } from './grpc/channel.ts'
import { type Client, clientOf } from './grpc/client.ts'
import type { CallOptions } from './grpc/client-call.ts'
import { implement, type Route } from './grpc/implement.ts'
import { serverStream, unary } from './grpc/method.ts'
import { STATUS, StatusError } from './grpc/status.ts'
import { HealthCheckRequest, HealthCheckResponse, ServingStatus } from './messages.ts'

const NAME = '/grpc.health.v1.Health'

/** gRPC's own question whether a server is well. */
export const healthService = {
  check: unary(`${NAME}/Check`, HealthCheckRequest, HealthCheckResponse, { maxRequestBytes: 4096 }),
  watch: serverStream(`${NAME}/Watch`, HealthCheckRequest, HealthCheckResponse, { maxRequestBytes: 4096 }),
} as const

export type HealthClient = Client<typeof healthService>

export function healthClient(channel: Channel): HealthClient {
  return clientOf(healthService, channel)
}

/** Whether the server says that it, or one of its services, is well. Fails when it cannot be asked. */
export async function isServing(channel: Channel, service = '', options?: CallOptions): Promise<boolean> {
  const { status } = await healthClient(channel).check({ service }, options)
  return status === ServingStatus.SERVING
}

/** Answers for the server as a whole and for the named services (`scheduler.v2.Scheduler`): well, as long as it runs. */
export function serveHealth(services: readonly string[]): readonly Route[] {
  const known = new Set(['', ...services])
  const well = HealthCheckResponse.fromPartial({ status: ServingStatus.SERVING })
  const unknown = HealthCheckResponse.fromPartial({ status: ServingStatus.SERVICE_UNKNOWN })
  return implement(healthService, {
    check: ({ service }) => {
      if (!known.has(service)) throw new StatusError(STATUS.NOT_FOUND, `there is no service ${service} here`)
      return well
    },
    async *watch({ service }, { signal }) {
      yield known.has(service) ? well : unknown
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
  })
}

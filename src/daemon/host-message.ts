import { arch, hostname, networkInterfaces, platform, release } from 'node:os'
import { isIP } from 'node:net'
import { Host } from '#api'
import { Failure, type HostIdentity, hostId } from '#core'

/** Who this host is to others, from what was set and what the machine knows. */
export function hostIdentity(settings: {
  listen: string
  seed: boolean
  host: { ip: string; hostname: string }
}): HostIdentity {
  const ip = settings.host.ip || reachableIp(settings.listen)
  if (isIP(ip) === 0)
    throw new Failure('config.invalid', `host.ip: "${ip}" is no IP literal; peers drop hosts that have none`)
  const name = settings.host.hostname || hostname()
  return { id: hostId(ip, name, settings.seed), ip, hostname: name, seed: settings.seed }
}

/** The address itself, or for "any address" the first one that is no loopback. */
function reachableIp(listen: string): string {
  if (listen !== '0.0.0.0' && listen !== '::') return listen
  const family = listen === '::' ? 'IPv6' : 'IPv4'
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return (
    all.find((address) => !address.internal && address.family === family)?.address ??
    (family === 'IPv6' ? '::1' : '127.0.0.1')
  )
}

/** How a host announces itself, with where it is as far as somebody has said so. */
export function hostMessage(
  host: HostIdentity,
  place: { readonly idc: string; readonly location: string },
  uploadPort: number,
  publicKey: Uint8Array,
  version: string,
): Host {
  const { idc, location } = place
  return Host.fromPartial({
    id: host.id,
    type: host.seed ? 1 : 0,
    hostname: host.hostname,
    name: host.hostname,
    ip: host.ip,
    port: uploadPort,
    downloadPort: uploadPort,
    os: platform(),
    platform: arch(),
    kernelVersion: release(),
    ...(idc === '' && location === '' ? {} : { network: { idc, location } }),
    build: { gitVersion: version },
    publicKey,
  })
}

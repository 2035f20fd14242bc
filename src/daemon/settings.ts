import { duration, flag, list, number, port, size, text } from '#core'

/** Everything that makes one daemon another than the next. */
export const daemonSettings = {
  listen: text(
    '127.0.0.1',
    'Address that peers reach this daemon at. Anything but a loopback address opens it to the network.',
  ),
  seed: flag(false, 'Be a seed: read origins on behalf of others. `cdn` is the daemon with this set.'),
  socket: text('', 'Unix socket that dfget talks to; <workhome>/daemon.sock when empty.'),
  aliveTime: duration(0, 'Stop after this long without work; 0 never stops. A daemon that dfget started has 5m.'),
  host: {
    ip: text('', 'IP literal that is announced to others; found out from `listen` when empty.'),
    hostname: text(
      '',
      "Name that is announced to others; the machine's when empty. Two daemons on one IP need two names.",
    ),
    idc: text('', 'Data centre of this host; schedulers prefer parents in the same one.'),
    location: text(
      '',
      'Where this host is, from the widest part to the narrowest: eu|zone-1|rack-7. Schedulers prefer parents that share more of it.',
    ),
  },
  scheduler: {
    addrs: list([], 'Schedulers (host:port). Without any, the daemon runs one inside itself and is its own seed.'),
    announceInterval: duration(60_000, 'How often this host announces itself.'),
    scheduleTimeout: duration(60_000, 'How long a scheduler may take for a plan before the origin is read instead.'),
  },
  upload: {
    port: port(4000, 'Port for the talk with other daemons (gRPC). A busy one is replaced by a free one.'),
    piecePort: port(4005, 'Port that pieces are served at (Vortex over TCP). A busy one is replaced by a free one.'),
    rateLimit: size(0, 'Bytes per second given to all children together; 0 is no limit.'),
    maxConnections: number(2048, 'Pieces served at the same time.', { min: 1, max: 65_535 }),
  },
  download: {
    rateLimit: size(0, 'Bytes per second taken by all downloads together; 0 is no limit.'),
    concurrentPieces: number(16, 'Parents of one task that are asked at the same time.', { min: 1, max: 64 }),
    patience: duration(60_000, 'How long parents may have nothing new before other ones are asked for.'),
    pieceTimeout: duration(20_000, 'How long a parent may be silent in the middle of a piece.'),
  },
  trust: {
    requireRecords: flag(
      false,
      'Take no piece from a peer that no signed record vouches for, not even with its CRC-32.',
    ),
  },
}

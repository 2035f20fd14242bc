import { duration, number, port, type SettingsOf, text } from '#core'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

export const schedulerSettings = {
  listen: text('127.0.0.1', 'Address to listen on. Anything but loopback lets other machines in.'),
  port: port(8002, 'Port to listen on; 0 takes any free one.'),
  candidateParentLimit: number(
    4,
    'Parents named to a child that has none; one that asks for more is named up to twice as many.',
    { min: 1, max: 20 },
  ),
  neighbourLimit: number(16, 'Parents that a child has altogether, while they are well.', { min: 1, max: 100 }),
  firstHandLimit: number(
    16,
    'Children of one task that are named a peer which has everything or reads the origin; all others get it from them.',
    { min: 1 },
  ),
  filterParentLimit: number(15, 'Parents that are ranked for a child, picked at random.', { min: 1, max: 1000 }),
  retryInterval: duration(500, 'A waiting child is looked at again after this time, and at once when there is news.'),
  retryLimit: number(5, 'A child for which there is nobody waits so many intervals; then it is refused.'),
  retryBackToSourceLimit: number(
    4,
    'A child that cannot use the peers that read the origin waits so many intervals; then it reads the origin too.',
  ),
  backSourceCount: number(
    1,
    'Peers of a task that may read the origin at once, as long as the others can get its pieces from them.',
    { min: 1 },
  ),
  busyTimeout: duration(MINUTE_MS, 'A child waits so long for a place while all parents have as many as they may.'),
  freshness: duration(
    10_000,
    'What a host saw at the origin is believed for so long by hosts that cannot look themselves; then a seed looks.',
  ),
  seedTimeout: duration(20_000, 'A seed that was asked has to register within this time, or the next one is asked.'),
  seedRetryAfter: duration(5000, 'A seed that failed is not asked again for the same version before this time.'),
  peerUploadLimit: number(300, 'Children that a host may have at once.', { min: 1 }),
  seedUploadLimit: number(2000, 'Children that a seed may have at once.', { min: 1 }),
  gcInterval: duration(10_000, 'How often what is over is looked for.'),
  peerTtl: duration(24 * HOUR_MS, 'A peer that nobody used is forgotten after this time.'),
  pieceTimeout: duration(30 * MINUTE_MS, 'A download that got no piece for this time is given up.'),
  hostTtl: duration(HOUR_MS, 'Peers of a host that nobody used are forgotten after this time.'),
  taskTtl: duration(30 * MINUTE_MS, 'A task without peers is forgotten after this time.'),
  maxHosts: number(10_000, 'More hosts are refused.', { min: 1 }),
  maxTasks: number(100_000, 'More tasks are refused.', { min: 1 }),
  maxPeers: number(500_000, 'More peers, all tasks together, are refused.', { min: 1 }),
  maxPeersPerTask: number(20_000, 'More peers of one task are refused.', { min: 1 }),
  maxSeedRuns: number(1000, 'Seeds bring so many tasks at once; for more the asking hosts read the origin.', {
    min: 1,
  }),
}

export type SchedulerSettings = SettingsOf<typeof schedulerSettings>

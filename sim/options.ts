import { parseArgs } from 'node:util'
import { BLOCK_LENGTH, parseDuration, parseSize, pieceLengthFor, resolveSettings } from '#core'
import { type SchedulerSettings, schedulerSettings } from '#scheduler'

export interface SimOptions {
  readonly peers: number
  readonly fileBytes: number
  readonly pieceLength: number
  /** What is asked for and passed on as one: blocks in the product, something longer where time is short. */
  readonly unitLength: number
  /** Bytes per second, here and below; 0 is no limit. */
  readonly originRate: number
  readonly seedRate: number
  readonly peerUpRate: number
  readonly peerDownRate: number
  /** One way. */
  readonly latencyMs: number
  /** The part of the peers that vanish before they are done. */
  readonly leave: number
  readonly joinOverMs: number
  readonly twoSites: boolean
  readonly crossRate: number
  readonly crossLatencyMs: number
  /** The model of src/daemon/round.ts, or itself. */
  readonly round: 'model' | 'real'
  readonly concurrentPieces: number
  readonly seed: number
  readonly scheduler: SchedulerSettings
}

/** What the command line asks for beside the simulation itself. */
export interface Command {
  readonly options: SimOptions
  readonly json: boolean
  readonly svg: string | undefined
}

export const USAGE = `npm run sim -- [flags]

  --peers N            hosts that want the file, beside the seed (100)
  --file SIZE          its length (1GiB)
  --piece SIZE         length of its pieces (as the product chooses it for such a file)
  --grain SIZE         what is asked for and passed on as one: the product's blocks, or something coarser (512KiB)
  --seed-rate SIZE     bytes per second that the seed sends at most (25MB)
  --peer-rate SIZE     bytes per second that a peer sends and takes at most (25MB)
  --peer-down SIZE     what a peer takes, if that is something else
  --origin-rate SIZE   what the origin sends (1GiB)
  --latency TIME       one way, between any two hosts (1ms)
  --round model|real   who fetches: the model of src/daemon/round.ts, or itself, for small swarms (model)
  --concurrent N       parents that a peer asks at once (16)
  --leave SHARE        the part of the peers that vanish before they are done, 0 to 0.9 (0)
  --join-over TIME     peers come one by one over this time (0s)
  --two-dcs            every other peer is in a second data centre; the seed is in the first
  --cross-rate SIZE    bytes per second between the two, each way (no limit)
  --cross-latency TIME one way between the two (10ms)
  --set NAME=VALUE     a setting of the scheduler (candidateParentLimit=6); may be repeated
  --seed N             of all that is random (1)
  --json               the figures as JSON
  --svg FILE           draws what each peer had when

Sizes are powers of 1024 (25MB = 25MiB); 0 is no limit.`

const FLAGS = {
  peers: { type: 'string', default: '100' },
  file: { type: 'string', default: '1GiB' },
  piece: { type: 'string' },
  grain: { type: 'string' },
  'seed-rate': { type: 'string', default: '25MB' },
  'peer-rate': { type: 'string', default: '25MB' },
  'peer-down': { type: 'string' },
  'origin-rate': { type: 'string', default: '1GiB' },
  latency: { type: 'string', default: '1ms' },
  round: { type: 'string', default: 'model' },
  concurrent: { type: 'string', default: '16' },
  leave: { type: 'string', default: '0' },
  'join-over': { type: 'string', default: '0s' },
  'two-dcs': { type: 'boolean', default: false },
  'cross-rate': { type: 'string' },
  'cross-latency': { type: 'string' },
  set: { type: 'string', multiple: true, default: [] as string[] },
  seed: { type: 'string', default: '1' },
  json: { type: 'boolean', default: false },
  svg: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

const MAX_PEERS = 9000
const MAX_PIECES = 65_536
/** In one piece. */
const MAX_UNITS = 8192

/** What a command line asks for; undefined for help. Throws an Error that names the flag and the reason. */
export function parseCommand(args: readonly string[]): Command | undefined {
  const { values } = parseArgs({ args: [...args], options: FLAGS, allowPositionals: false })
  if (values.help) return undefined
  const fileBytes = positiveSize('file', values.file)
  const pieceLength = values.piece === undefined ? pieceLengthFor(fileBytes) : positiveSize('piece', values.piece)
  if (fileBytes / pieceLength > MAX_PIECES)
    throw new Error(`--piece ${values.piece}: makes more than ${MAX_PIECES} pieces of the file`)
  if (!values['two-dcs'] && (values['cross-rate'] !== undefined || values['cross-latency'] !== undefined))
    throw new Error('--cross-rate and --cross-latency are for --two-dcs')
  const unitLength = grain(values.grain, pieceLength)
  if (values.round === 'real' && unitLength !== BLOCK_LENGTH)
    throw new Error('--round real: the daemon passes on blocks; another --grain is only modelled')
  const peerUpRate = size('peer-rate', values['peer-rate'])
  const options: SimOptions = {
    peers: whole('peers', values.peers, 1, MAX_PEERS),
    fileBytes,
    pieceLength,
    unitLength,
    originRate: size('origin-rate', values['origin-rate']),
    seedRate: size('seed-rate', values['seed-rate']),
    peerUpRate,
    peerDownRate: values['peer-down'] === undefined ? peerUpRate : size('peer-down', values['peer-down']),
    latencyMs: time('latency', values.latency),
    leave: share('leave', values.leave),
    joinOverMs: time('join-over', values['join-over']),
    twoSites: values['two-dcs'],
    crossRate: values['cross-rate'] === undefined ? 0 : size('cross-rate', values['cross-rate']),
    crossLatencyMs: time('cross-latency', values['cross-latency'] ?? '10ms'),
    round: oneOf('round', values.round, ['model', 'real']),
    concurrentPieces: whole('concurrent', values.concurrent, 1, 64),
    seed: whole('seed', values.seed, 0, 2 ** 32 - 1),
    scheduler: schedulerOf(values.set),
  }
  return { options, json: values.json, svg: values.svg }
}

/** The same with a few things changed, for tests and sweeps. */
export function optionsOf(changes: Partial<SimOptions>): SimOptions {
  const command = parseCommand([])
  if (command === undefined) throw new Error('no options')
  const { fileBytes = command.options.fileBytes } = changes
  return { ...command.options, pieceLength: pieceLengthFor(fileBytes), ...changes }
}

function schedulerOf(pairs: readonly string[]): SchedulerSettings {
  const chosen = pairs.map((pair) => {
    const [name = '', ...value] = pair.split('=')
    if (value.length === 0) throw new Error(`--set ${pair}: write NAME=VALUE`)
    return [name, value.join('=')] as const
  })
  return resolveSettings(schedulerSettings, [Object.fromEntries(chosen)])
}

function size(flag: string, text: string): number {
  return told(flag, text, () => parseSize(text))
}

function positiveSize(flag: string, text: string): number {
  const bytes = size(flag, text)
  if (bytes === 0) throw new Error(`--${flag} ${text}: has to be more than nothing`)
  return bytes
}

function grain(text: string | undefined, pieceLength: number): number {
  const bytes = text === undefined ? Math.min(BLOCK_LENGTH, pieceLength) : positiveSize('grain', text)
  if (bytes <= pieceLength && pieceLength / bytes <= MAX_UNITS) return bytes
  throw new Error(`--grain ${text}: has to be a part of a piece, of which there are at most ${MAX_UNITS}`)
}

function time(flag: string, text: string): number {
  return told(flag, text, () => parseDuration(text))
}

function whole(flag: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new Error(`--${flag} ${text}: is not a whole number from ${min} to ${max}`)
}

function share(flag: string, text: string): number {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value <= 0.9) return value
  throw new Error(`--${flag} ${text}: is not a share from 0 to 0.9`)
}

function oneOf<const C extends string>(flag: string, text: string, choices: readonly C[]): C {
  const choice = choices.find((one) => one === text)
  if (choice !== undefined) return choice
  throw new Error(`--${flag} ${text}: is none of ${choices.join(', ')}`)
}

function told<T>(flag: string, text: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new Error(`--${flag} ${text}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

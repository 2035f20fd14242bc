import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytesFile, run, sha256File } from '#devnet'
import { Scope } from '#runtime'
import { everybodyCurls } from './curl.ts'
import { dragonfly } from './dragonfly.ts'
import type { Contender, Course, Lap, Team } from './race.ts'
import { reportOf, type Result } from './results.ts'
import { isAlive, ShapedNet, whyNoShapedNet } from './shaped-net.ts'
import { aria2, libtorrent, superSeeding, transmission } from './torrent-clients.ts'
import { torrentContender } from './torrent-swarm.ts'
import type { Report } from '../report.ts'

const MiB = 2 ** 20
const CONTENDERS: readonly Contender[] = [
  dragonfly,
  ...[aria2, libtorrent, superSeeding, transmission].map(torrentContender),
  everybodyCurls,
]
export const CONTENDER_NAMES = CONTENDERS.map(({ name }) => name)
/** So many times the bound, and no less than a minute: who is not done by then is not done. */
const PATIENCE = 8
const LEAST_PATIENCE_MS = 60_000
const SHARED_MEMORY = '/dev/shm'
const DIR_PREFIX = 'dfts-swarm-'

export interface SwarmOptions {
  readonly sizeBytes: number
  readonly runs: number
  /** How many hosts want the file, one after the other. */
  readonly peers: readonly number[]
  readonly bitsPerSecond: number
  /** Of TCP, for everybody. */
  readonly congestion: string
  /** Names of contenders, or the beginnings of them; all without any. */
  readonly only: readonly string[]
  /** Directory for the logs of our processes. */
  readonly logs?: string | undefined
  /** Directory for their CPU profiles. */
  readonly profiles?: string | undefined
  readonly signal: AbortSignal
}

/** One file from one host to N others, each behind a link of its own, by us and by others in turn. */
export async function shapedSwarm(options: SwarmOptions): Promise<Report[]> {
  const why = await whyNoShapedNet()
  if (why !== undefined) {
    console.log(`swarm: not run: ${why}`)
    return []
  }
  await using scope = new Scope()
  const dir = await roomFor(options)
  scope.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }))
  await mkdir(join(dir, 'origin'))
  const path = join(dir, 'origin', 'file.bin')
  await randomBytesFile(path, options.sizeBytes, `swarm ${Date.now()}`)
  const file = { path, bytes: options.sizeBytes, sha256: await sha256File(path) }
  const { entered, notes } = await presentOf(options.only)
  const reports: Report[] = []
  for (const peers of options.peers) {
    const boundMs = boundOf(options, peers)
    const results = await raceAll({ options, peers, dir, file, entered, boundMs })
    reports.push(
      reportOf({ peers, fileBytes: options.sizeBytes, bitsPerSecond: options.bitsPerSecond, boundMs }, results, notes),
    )
  }
  return reports
}

/** The fluid bound: no way to bring one file from one host to `peers` others is faster, on links of equal rate. */
function boundOf({ sizeBytes, bitsPerSecond }: SwarmOptions, peers: number): number {
  const rate = bitsPerSecond / 8 / 1000
  return Math.max(sizeBytes / rate, (peers * sizeBytes) / (rate * (peers + 1)))
}

/** Who was asked for and is installed; a note for each of the others. */
async function presentOf(only: readonly string[]): Promise<{ entered: Contender[]; notes: string[] }> {
  const wanted = CONTENDERS.filter(({ name }) => only.length === 0 || only.some((each) => name.startsWith(each)))
  const notes: string[] = []
  const entered: Contender[] = []
  for (const contender of wanted) {
    const help = await contender.missing()
    if (help === undefined) entered.push(contender)
    else notes.push(`${contender.name} is missing here: ${help}`)
  }
  return { entered, notes }
}

interface Field {
  readonly options: SwarmOptions
  readonly peers: number
  readonly dir: string
  readonly file: Course['file']
  readonly entered: readonly Contender[]
  readonly boundMs: number
}

/** Lap after lap, all contenders in turn, each round begun by another one; the first is not counted. Who fails is left out from then on. */
async function raceAll({ options, peers, dir, file, entered, boundMs }: Field): Promise<Result[]> {
  await using scope = new Scope()
  const net = scope.own(await ShapedNet.create({ hosts: peers + 1, ...options }))
  const timeoutMs = Math.max(LEAST_PATIENCE_MS, PATIENCE * boundMs)
  const { signal, logs, profiles } = options
  const course = { net, file, timeoutMs, signal, logs, profiles }
  const entries = entered.map((contender, index) => {
    const home = join(dir, String(index))
    const patience = contender.oneLink === true ? timeoutMs * peers : timeoutMs
    return new Entry(contender, { ...course, dir: home, timeoutMs: patience })
  })
  for (const entry of entries) scope.own(entry)
  for (let round = 0; round <= options.runs; round++) {
    for (let turn = 0; turn < entries.length; turn++) {
      const entry = entries[(round + turn) % entries.length]
      await entry?.lap(round)
      options.signal.throwIfAborted()
    }
  }
  return entries.map(({ result }) => result)
}

/** A contender with what it did so far. */
class Entry implements AsyncDisposable {
  readonly #contender: Contender
  readonly #course: Course
  readonly #laps: Lap[] = []
  #team: Team | undefined
  #failure: string | undefined

  constructor(contender: Contender, course: Course) {
    this.#contender = contender
    this.#course = course
  }

  get result(): Result {
    return { name: this.#contender.name, laps: this.#laps, failure: this.#failure }
  }

  async lap(number: number): Promise<void> {
    const { name, oneLink } = this.#contender
    if (this.#failure !== undefined || (oneLink === true && this.#laps.length > 0)) return
    try {
      this.#team ??= await this.#enter()
      const lap = await this.#team.lap(number)
      await checkOutputs(lap.outputs, this.#course)
      if (number > 0 || oneLink === true) this.#laps.push(lap)
      const seconds = lap.eachMs.map((ms) => (ms / 1000).toFixed(1))
      console.error(`${name}, lap ${number}: ${(lap.makespanMs / 1000).toFixed(2)} s (${seconds.join(' ')})`)
    } catch (error) {
      this.#failure = error instanceof Error ? error.message : String(error)
      console.error(`${name}, lap ${number}: ${this.#failure}`)
      await this[Symbol.asyncDispose]()
    }
  }

  async #enter(): Promise<Team> {
    await mkdir(this.#course.dir, { recursive: true })
    return this.#contender.enter(this.#course)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const team = this.#team
    this.#team = undefined
    await team?.[Symbol.asyncDispose]()
    await rm(this.#course.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

/** No wrong byte: each output has the digest of the file. Then it makes room. */
async function checkOutputs(outputs: readonly string[], { file }: Course): Promise<void> {
  const ran = await run('sha256sum', [...outputs])
  const digests = ran.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.slice(0, 64))
  if (digests.length !== outputs.length || digests.some((digest) => digest !== file.sha256)) {
    throw new Error(`not every output has the digest of the file: ${ran.stdout}${ran.stderr}`)
  }
  for (const output of outputs) await rm(output)
}

/** A directory in memory where all copies find room: the one disk of this machine stands for none of theirs. */
async function roomFor({ sizeBytes, peers }: SwarmOptions): Promise<string> {
  const needed = sizeBytes * (Math.max(...peers) + 2) + 256 * MiB
  for (const parent of [SHARED_MEMORY, tmpdir()]) {
    await sweep(parent)
    const { bavail, bsize } = existsSync(parent) ? await statfs(parent) : { bavail: 0, bsize: 0 }
    if (bavail * bsize >= needed) return mkdtemp(join(parent, `${DIR_PREFIX}${process.pid}-`))
  }
  throw new Error(`neither ${SHARED_MEMORY} nor ${tmpdir()} has room for ${Math.ceil(needed / MiB)} MiB`)
}

/** Memory is dear: what a benchmark left there that was killed goes. */
async function sweep(parent: string): Promise<void> {
  for (const name of existsSync(parent) ? await readdir(parent) : []) {
    const owner = new RegExp(`^${DIR_PREFIX}(\\d+)-`).exec(name)?.[1]
    if (owner !== undefined && !isAlive(Number(owner))) await rm(join(parent, name), { recursive: true, force: true })
  }
}

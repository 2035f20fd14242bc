import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RunningProcess, until } from '#devnet'
import { busyBetween, cpuMsOf, cpuMsOfEndedChildren, machineTime } from '../cpu.ts'
import type { NetHost, ShapedNet } from './shaped-net.ts'

const LOOK_EVERY_MS = 100

/** Where and what is raced: the first host of the net is the seed, all others want the file. */
export interface Course {
  readonly net: ShapedNet
  /** What is handed out, and what must come out of it. */
  readonly file: { readonly path: string; readonly bytes: number; readonly sha256: string }
  /** Homes and outputs of all programs lie in it. */
  readonly dir: string
  /** Where the logs of what ran go at the end; nowhere without it. */
  readonly logs?: string | undefined
  /** Where CPU profiles of ours go; nowhere without it. */
  readonly profiles?: string | undefined
  /** After so long a lap is given up. */
  readonly timeoutMs: number
  /** The whole benchmark is to end. */
  readonly signal: AbortSignal
}

/** One way to bring the file to all hosts. */
export interface Contender {
  readonly name: string
  /** Everybody waits for one link, and long: one lap tells all. */
  readonly oneLink?: boolean
  /** What is missing on this machine, and how it is to be had; undefined where it can run. */
  missing(): Promise<string | undefined>
  enter(course: Course): Promise<Team>
}

/** A contender on its course. Ends all its processes with its scope. */
export interface Team extends AsyncDisposable {
  lap(number: number): Promise<Lap>
}

/** How one distribution of the file went. */
export interface Lap {
  /** From the start of all to the end of the last one. */
  readonly makespanMs: number
  readonly eachMs: readonly number[]
  /** Over the link of the seed. */
  readonly seedSentBytes: number
  /** Read at the origin; undefined for those that know no origin. */
  readonly originBytes?: number
  /** What the seed itself counts as given to others. */
  readonly seedGaveBytes?: number
  readonly seedCpuMs: number
  /** Of all that want the file, together. */
  readonly peersCpuMs: number
  /** Of what else takes part: a scheduler, an origin. */
  readonly otherCpuMs: number
  /** Of all processors of the machine, 1 at most. */
  readonly busy: number
  /** How it went on, from the start, every tenth of a second. */
  readonly progress: readonly Progress[]
  /** One for each host that wanted the file, in order. */
  readonly outputs: readonly string[]
}

export interface Progress {
  readonly atMs: number
  /** Over the links of all hosts that want the file, together. */
  readonly receivedBytes: number
  readonly seedSentBytes: number
}

/** One host that wants the file. */
export interface Runner {
  readonly output: string
  /** Processes that are its own; those that have ended meanwhile are counted without it. */
  readonly pids: readonly number[]
  /** Resolves when it has the whole file, and rejects when it never will. */
  readonly finished: Promise<void>
}

/** Processes that run already when the clock starts. */
export interface Watched {
  readonly seed: readonly number[]
  readonly peers?: readonly number[]
  readonly other?: readonly number[]
}

/** Starts one runner on each host but the first at once, and takes the time until the last one has the file. */
export async function race(
  course: Course,
  watched: Watched,
  start: (host: NetHost, index: number) => Promise<Runner>,
): Promise<Lap> {
  const [, ...hosts] = course.net.hosts
  const groups = [watched.seed, watched.peers ?? [], watched.other ?? []].map((pids) => ({ pids, ms: cpuOf(pids) }))
  const endedBefore = cpuMsOfEndedChildren()
  const machine = machineTime()
  const startedAt = performance.now()
  const look = watchLinks(course.net, startedAt)
  const watch = setInterval(look, LOOK_EVERY_MS)
  const runners: Runner[] = []
  const eachMs = await inTime(
    course,
    hosts.map(async (host, index) => {
      const runner = await start(host, index)
      runners[index] = runner
      await runner.finished
      return performance.now() - startedAt
    }),
  ).finally(() => clearInterval(watch))
  const busy = busyBetween(machine, machineTime())
  const [seedCpuMs = 0, beforeCpuMs = 0, otherCpuMs = 0] = groups.map(({ pids, ms }) => cpuOf(pids) - ms)
  const ownCpuMs = cpuOf(runners.flatMap(({ pids }) => pids)) + cpuMsOfEndedChildren() - endedBefore
  const progress = look()
  return {
    makespanMs: Math.max(...eachMs),
    eachMs,
    seedSentBytes: progress.at(-1)?.seedSentBytes ?? 0,
    seedCpuMs,
    peersCpuMs: beforeCpuMs + ownCpuMs,
    otherCpuMs,
    busy,
    progress,
    outputs: runners.map(({ output }) => output),
  }
}

/** Makes a function that notes what the links have carried since now, and says all that it has noted. */
function watchLinks(net: ShapedNet, startedAt: number): () => Progress[] {
  const noted: Progress[] = []
  const sums = (): Omit<Progress, 'atMs'> => {
    const [seed, ...others] = net.linkBytes()
    return { seedSentBytes: seed?.sent ?? 0, receivedBytes: others.reduce((sum, { received }) => sum + received, 0) }
  }
  const first = sums()
  return () => {
    const { seedSentBytes, receivedBytes } = sums()
    noted.push({
      atMs: performance.now() - startedAt,
      seedSentBytes: seedSentBytes - first.seedSentBytes,
      receivedBytes: receivedBytes - first.receivedBytes,
    })
    return noted
  }
}

/** Of a program that goes on when it has the file, and writes `marker` then. */
export async function marked(child: RunningProcess, marker: string, timeoutMs: number): Promise<void> {
  await until(() => existsSync(marker) || !child.running, { timeoutMs, everyMs: 10, what: `${marker} to be written` })
  if (existsSync(marker)) return
  const { code, signal } = await child.exited
  throw new Error(`it ended early (${code ?? signal}): ${child.stdout().slice(-500)}${child.stderr().slice(-500)}`)
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0)
}

async function inTime<T>({ timeoutMs, signal }: Course, all: readonly Promise<T>[]): Promise<T[]> {
  const over = new AbortController()
  const late = sleep(timeoutMs, undefined, { signal: AbortSignal.any([over.signal, signal]) }).then(() => {
    throw new Error(`unfinished after ${(timeoutMs / 1000).toFixed(0)} s`)
  })
  try {
    return await Promise.race([Promise.all(all), late])
  } finally {
    over.abort()
    late.catch(() => undefined)
  }
}

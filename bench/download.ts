import { rm } from 'node:fs/promises'
import { downloadClient, openChannel } from '#api'
import { type Member, type Ran, run } from '#devnet'
import { cpuMsOf, cpuMsOfEndedChildren } from './cpu.ts'
import type { Sample } from './measure.ts'

export interface BenchOptions {
  readonly sizeBytes: number
  readonly runs: number
  /** Only what shows a collapse. */
  readonly short: boolean
}

/** What is downloaded, and what has to come out of it. */
export interface Wanted {
  readonly url: string
  /** The file itself, on this machine. */
  readonly original: string
}

/** Nothing here takes so long, unless it never ends. */
const TIMEOUT_MS = 15 * 60_000

/** Dirty pages of one run are not to slow down the next one. */
export async function sync(): Promise<void> {
  await run('sync', [])
}

/** `curl -o`, the measure of everything here. */
export function curl(wanted: Wanted, output: string): Promise<Sample> {
  return fetchBy('curl', ['-sS', '-o', output, wanted.url], wanted, output)
}

/** A program that writes `output` and ends: its time, and its CPU. */
export async function fetchBy(
  command: string,
  args: readonly string[],
  wanted: Wanted,
  output: string,
): Promise<Sample> {
  const before = cpuMsOfEndedChildren()
  const ran = await run(command, args, { timeoutMs: TIMEOUT_MS })
  const cpuMs = cpuMsOfEndedChildren() - before
  await check(ran, wanted, output)
  return { ms: ran.ms, cpuMs }
}

export interface Downloaded extends Sample {
  /** Of the dfget alone. */
  readonly clientCpuMs: number
  readonly rssPeakBytes: number
  readonly taskId: string
}

/** `dfget` asking a daemon: the CPU is that of both, as long as the dfget ran. */
export async function dfget(
  peer: Member,
  wanted: Wanted,
  args: readonly string[],
  output: string,
): Promise<Downloaded> {
  const [daemonBefore, endedBefore] = [cpuMsOf(peer.pid), cpuMsOfEndedChildren()]
  const ran = await peer.dfget([wanted.url, ...args, '-O', output, '--json'], { timeoutMs: TIMEOUT_MS })
  const clientCpuMs = cpuMsOfEndedChildren() - endedBefore
  const cpuMs = clientCpuMs + cpuMsOf(peer.pid) - daemonBefore
  await check(ran, wanted, output)
  const { taskId } = JSON.parse(ran.stdout) as { taskId: string }
  return { ms: ran.ms, cpuMs, clientCpuMs, rssPeakBytes: ran.rssPeakBytes, taskId }
}

/** That the output is the file, byte by byte; then it makes room. Not timed. */
export async function check(ran: Ran, { original }: Wanted, output: string): Promise<void> {
  if (ran.code !== 0) throw new Error(`exit ${ran.code}: ${ran.stdout}${ran.stderr}`)
  const compared = await run('cmp', [original, output], { timeoutMs: TIMEOUT_MS })
  if (compared.code !== 0) throw new Error(`${output} is not the file: ${compared.stdout}${compared.stderr}`)
  await rm(output)
}

/** Has a daemon forget a task and its bytes, so that the disk does not fill up over the runs. */
export async function forget(member: Member, taskId: string): Promise<void> {
  await using channel = openChannel(`unix:${member.ready.socket ?? ''}`)
  await downloadClient(channel).deleteTask({ taskId })
}

import { rm, stat } from 'node:fs/promises'
import { downloadClient, openChannel } from '#api'
import { type Member, type Ran, run } from '#devnet'

export interface BenchOptions {
  readonly sizeBytes: number
  readonly runs: number
}

/** Dirty pages of one run are not to slow down the next one. */
export async function sync(): Promise<void> {
  await run('sync', [])
}

/** `curl -o`, the measure of everything here. */
export async function curl(url: string, output: string, sizeBytes: number): Promise<number> {
  const ran = await run('curl', ['-sS', '-o', output, url])
  await check(ran, output, sizeBytes)
  return ran.ms
}

export interface Downloaded {
  readonly ms: number
  readonly rssPeakBytes: number
  readonly taskId: string
}

export async function dfget(
  peer: Member,
  args: readonly string[],
  output: string,
  sizeBytes: number,
): Promise<Downloaded> {
  const ran = await peer.dfget([...args, '-O', output, '--json'])
  await check(ran, output, sizeBytes)
  const { taskId } = JSON.parse(ran.stdout) as { taskId: string }
  return { ms: ran.ms, rssPeakBytes: ran.rssPeakBytes, taskId }
}

async function check(ran: Ran, output: string, sizeBytes: number): Promise<void> {
  if (ran.code !== 0) throw new Error(`exit ${ran.code}: ${ran.stdout}${ran.stderr}`)
  const { size } = await stat(output)
  if (size !== sizeBytes) throw new Error(`${output} has ${size} bytes instead of ${sizeBytes}`)
  await rm(output)
}

/** Has a daemon forget a task and its bytes, so that the disk does not fill up over the runs. */
export async function forget(member: Member, taskId: string): Promise<void> {
  await using channel = openChannel(`unix:${member.ready.socket ?? ''}`)
  await downloadClient(channel).deleteTask({ taskId })
}

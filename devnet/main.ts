import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { sha256Of } from './content.ts'
import { devnet } from './devnet.ts'
import type { Member } from './member.ts'
import { NGINX, startNginx } from './nginx.ts'
import { startOrigin } from './origin.ts'
import { tempDir } from './temp.ts'

const MiB = 2 ** 20
const USAGE = `npm run devnet -- [--peers N] [--seeds N] [--size MiB]

Starts a scheduler, seeds, daemons and an origin on this machine, and stops them all with Ctrl-C.`

const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: '3' },
    seeds: { type: 'string', default: '1' },
    size: { type: 'string', default: '64' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) console.log(USAGE)
else await main(count(values.peers), count(values.seeds), count(values.size))

async function main(peers: number, seeds: number, sizeMiB: number): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve()).once('SIGTERM', () => resolve())
  })
  await using dir = await tempDir('devnet')
  const content = { size: sizeMiB * MiB, seed: Date.now() }
  await using origin = existsSync(NGINX)
    ? await startNginx({ files: { 'file.bin': content } })
    : await startOrigin({ content: { 'file.bin': content } })
  await using net = await devnet({ peers, seeds, dir: dir.path })

  const url = origin.url('file.bin')
  const originPid = 'pid' in origin ? origin.pid : process.pid
  const rows = [row('origin', originPid, url), ...[net.scheduler, ...net.seeds, ...net.peers].map(rowOf)]
  console.log(table([['process', 'pid', 'listens'], ...rows]))
  console.log(`\nThe file: ${sizeMiB} MiB, SHA-256 ${sha256Of(content)}\n\nPaste into another terminal:\n`)
  for (const peer of net.peers) {
    console.log(`  bin/dfget ${url} -O /tmp/${peer.name}.bin --workhome ${peer.workhome}`)
  }
  console.log('\nCtrl-C stops all of it.')
  await stopped
  console.log('stopping')
}

function rowOf(member: Member): string[] {
  const { schedulerPort, uploadPort, piecePort } = member.ready
  const ports =
    member.role === 'scheduler'
      ? `127.0.0.1:${schedulerPort}`
      : `127.0.0.1:${uploadPort} (calls), ${piecePort} (pieces)`
  return row(member.name, member.pid, ports)
}

function row(name: string, pid: number, listens: string): string[] {
  return [name, String(pid), listens]
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)))
  return rows.map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).join('\n')
}

function count(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new Error(`"${text}" is not a number\n\n${USAGE}`)
  return Number(text)
}

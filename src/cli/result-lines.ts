import { networkInterfaces, userInfo } from 'node:os'
import { formatBytes, messageOf } from '#core'
import { VERSION } from '#runtime'
import type { Order } from './order.ts'
import type { Outcome } from './outcome.ts'

/** The lines before a download, as Dragonfly v2.0.2 prints them. */
export function openingLines(order: Order, now: Date): string[] {
  return [
    `--${timestamp(now)}--  ${withoutPassword(order.url)}`,
    `dfget version: v${VERSION}`,
    `current user: ${currentUser()}, default peer ip: ${defaultIp()}`,
    `output path: ${order.output ?? '-'}`,
    'init success and start to download',
  ]
}

export function successLines(outcome: Outcome, costMs: number): string[] {
  return [
    `finish total length ${outcome.bytes} bytes`,
    // The blank at the end is v2.0.2's: scripts match whole lines.
    `download success: true cost: ${Math.round(costMs)} ms `,
    originsLine(outcome),
  ]
}

export function failureLine(error: unknown, costMs: number): string {
  return `download success: false cost: ${Math.round(costMs)} ms error: ${messageOf(error).replaceAll('\n', ' ')}`
}

/** Who gave how much: `from the source 1.00 MiB, from 2 peers 3.00 MiB (10.0.0.7-b 2.00 MiB, …), from this host 0 B`. */
export function originsLine(outcome: Outcome): string {
  const parents = Object.entries(outcome.bytesByParentHost).sort(([, a], [, b]) => b - a)
  const shown = parents.slice(0, 5).map(([host, bytes]) => `${host} ${formatBytes(bytes)}`)
  if (parents.length > shown.length) shown.push(`and ${parents.length - shown.length} more`)
  const names = shown.length === 0 ? '' : ` (${shown.join(', ')})`
  const peers = parents.length === 1 ? '1 peer' : `${parents.length} peers`
  return [
    `from the source ${formatBytes(outcome.bytesFromSource)}`,
    `from ${peers} ${formatBytes(outcome.bytesFromPeers)}${names}`,
    `from this host ${formatBytes(outcome.bytesLocal)}`,
  ].join(', ')
}

function timestamp(now: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`
  return `${date} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`
}

/** The URL as it was typed, but for a password: these lines end up in the logs of build machines. */
function withoutPassword(text: string): string {
  const { username, password } = new URL(text)
  return password === '' ? text : text.replace(`${username}:${password}@`, `${username}:***@`)
}

function currentUser(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown') // a container's user need not have a name
  }
}

function defaultIp(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find((address) => address.family === 'IPv4' && !address.internal)?.address ?? '127.0.0.1'
}

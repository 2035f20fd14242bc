import { formatBytes } from '#core'
import type { Outcome } from './net.ts'
import { boundMs } from './report.ts'

const WIDTH = 720
const HEIGHT = 360
const LEFT = 64
const TOP = 28
const BOTTOM = 40
const RIGHT = 16

/** Draws what each peer had when: a thin line each, those that left in red, and where the bound is. */
export function drawProgress(outcome: Outcome): string {
  const { options, peers, progress, endedAtMs } = outcome
  const bound = boundMs(options)
  const endMs = Math.max(endedAtMs, bound) * 1.02
  const x = (ms: number): number => Math.round(LEFT + ((WIDTH - LEFT - RIGHT) * ms) / endMs)
  const y = (bytes: number): number =>
    Math.round(HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * bytes) / options.fileBytes)
  const lines = peers.map((peer, index) => {
    const points = progress.atMs.flatMap((atMs, time) =>
      atMs < peer.joinedAtMs ? [] : [[x(atMs), y(progress.heldBytes[time]?.[index] ?? 0)] as const],
    )
    return `<path class="${peer.left ? 'left' : 'peer'}" d="${pathOf(points)}"/>`
  })
  const opacity = Math.min(0.6, Math.max(0.06, 12 / peers.length)).toFixed(2)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<style>path{fill:none;stroke-width:1}.peer{stroke:#1565c0;stroke-opacity:${opacity}}.left{stroke:#c62828;stroke-opacity:.5}.axis{stroke:#888}.bound{stroke:#2e7d32;stroke-width:2;stroke-dasharray:5 4}text{fill:#444}</style>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${LEFT}" y="18">${title(outcome)}</text>
${lines.join('\n')}
<path class="axis" d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}"/>
<path class="bound" d="M${x(bound)} ${TOP}V${HEIGHT - BOTTOM}"/>
<text x="${x(bound) - 4}" y="${HEIGHT - BOTTOM - 8}" text-anchor="end" style="fill:#2e7d32">bound ${(bound / 1000).toFixed(0)} s</text>
${ticks(endMs)
  .map((ms) => `<text x="${x(ms)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${ms / 1000} s</text>`)
  .join('\n')}
${[0, 0.5, 1]
  .map(
    (part) =>
      `<text x="${LEFT - 6}" y="${y(part * options.fileBytes) + 4}" text-anchor="end">${formatBytes(part * options.fileBytes)}</text>`,
  )
  .join('\n')}
</svg>
`
}

function title({ options }: Outcome): string {
  const { peers, fileBytes, unitLength, seed } = options
  return `${formatBytes(fileBytes)} to ${peers} peers, passed on in ${formatBytes(unitLength)} (seed ${seed}): bytes held over time`
}

/** Relative steps; points on the way of a straight line are left out. */
function pathOf(points: readonly (readonly [number, number])[]): string {
  let path = ''
  let [atX, atY] = [0, 0]
  for (const [index, [x, y]] of points.entries()) {
    const before = points[index - 1]
    const after = points[index + 1]
    if (before !== undefined && after !== undefined && isBetween(before, [x, y], after)) continue
    if (index === 0) path = `M${x} ${y}`
    else if (y === atY) path += `h${x - atX}`
    else path += `l${x - atX} ${y - atY}`
    ;[atX, atY] = [x, y]
  }
  return path
}

type Point = readonly [number, number]

function isBetween([ax, ay]: Point, [bx, by]: Point, [cx, cy]: Point): boolean {
  return (bx - ax) * (cy - by) === (by - ay) * (cx - bx)
}

/** Round times, about six of them. */
function ticks(endMs: number): number[] {
  const rough = endMs / 6
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find((times) => times * power >= rough) ?? 10) * power
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_, index) => index * step)
}

/** Horizontal bars, each with the span of its runs. */
export interface Bars {
  readonly kind: 'bars'
  readonly unit: string
  readonly bars: readonly Bar[]
  /** A line across all bars. */
  readonly mark?: { readonly value: number; readonly label: string }
}

export interface Bar {
  readonly name: string
  /** Undefined: there is none, and `note` says why. */
  readonly value?: number
  readonly low?: number
  readonly high?: number
  readonly note?: string
  /** One of ours. */
  readonly own?: boolean
}

/** Lines over named steps, such as sizes; the vertical axis is logarithmic. */
export interface Ladder {
  readonly kind: 'ladder'
  readonly xNames: readonly string[]
  readonly unit: string
  readonly lines: readonly { readonly name: string; readonly values: readonly number[]; readonly own?: boolean }[]
}

/** Lines over a time in seconds; the vertical axis goes from 0 to 1. */
export interface Course {
  readonly kind: 'course'
  readonly seconds: number
  readonly lines: readonly { readonly name: string; readonly points: readonly Point[]; readonly own?: boolean }[]
  readonly mark: { readonly value: number; readonly label: string }
}

/** Seconds, and a share. */
export type Point = readonly [number, number]

export type Plot = Bars | Ladder | Course

const WIDTH = 720
const TOP = 36
/** Readable on white and on black alike; the text follows the reader's scheme. */
const STYLE = `<style>text{fill:#444;font:12px sans-serif}.title{font-size:13px;font-weight:bold}.end{text-anchor:end}.mid{text-anchor:middle}
.own{fill:#1e88e5;stroke:#1e88e5}.other{fill:#9e9e9e;stroke:#9e9e9e}.line{fill:none;stroke-width:2}.span,.axis{stroke:#777;stroke-width:1}.mark{stroke:#43a047;stroke-width:2;stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){text{fill:#ccc}}</style>`
const LINE_COLOURS = ['#1e88e5', '#43a047', '#fb8c00', '#8e24aa', '#e53935', '#00897b']

/** An SVG picture; the same data make the same text. */
export function draw(plot: Plot, title: string): string {
  const { body, height } = drawn(plot)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">
${STYLE}
<text class="title" x="8" y="20">${escaped(title)}</text>
${body.join('\n')}
</svg>
`
}

function drawn(plot: Plot): Drawn {
  if (plot.kind === 'bars') return drawBars(plot)
  return plot.kind === 'ladder' ? drawLadder(plot) : drawCourse(plot)
}

interface Drawn {
  readonly body: readonly string[]
  readonly height: number
}

const ROW = 26
const BAR = 16

function drawBars({ bars, unit, mark }: Bars): Drawn {
  const left = 16 + 7 * Math.max(...bars.map(({ name }) => name.length))
  const right = WIDTH - 90
  const most = Math.max(mark?.value ?? 0, ...bars.map(({ value = 0, high = value }) => high)) || 1
  const x = (value: number): number => round(left + ((right - left) * value) / most)
  const bottom = TOP + ROW * bars.length
  const rows = bars.flatMap(({ name, value, low, high, note, own }, index) => {
    const y = TOP + ROW * index
    const label = `<text class="end" x="${left - 8}" y="${y + 13}">${escaped(name)}</text>`
    if (value === undefined)
      return [label, `<text x="${left + 6}" y="${y + 13}">${escaped(note ?? 'no figure')}</text>`]
    const bar = `<rect class="${own === true ? 'own' : 'other'}" x="${left}" y="${y}" width="${round(x(value) - left)}" height="${BAR}"/>`
    const span =
      low === undefined || high === undefined ? '' : `<path class="span" d="M${x(low)} ${y + BAR / 2}H${x(high)}"/>`
    const text = `${value.toFixed(2)}${unit}${note === undefined ? '' : ` ${note}`}`
    return [
      label,
      bar + span,
      `<text x="${round(Math.max(x(value), x(high ?? 0)) + 6)}" y="${y + 13}">${escaped(text)}</text>`,
    ]
  })
  const axis = `<path class="axis" d="M${left} ${TOP - 6}V${bottom}"/>`
  const line =
    mark === undefined
      ? []
      : [
          `<path class="mark" d="M${x(mark.value)} ${TOP - 6}V${bottom}"/>`,
          `<text class="mid" x="${x(mark.value)}" y="${bottom + 14}">${escaped(mark.label)}</text>`,
        ]
  return { body: [...rows, axis, ...line], height: bottom + (mark === undefined ? 10 : 24) }
}

const LINES_HEIGHT = 380
const [LEFT, RIGHT, BOTTOM] = [76, WIDTH - 36, LINES_HEIGHT - 76]

function drawLadder({ xNames, unit, lines }: Ladder): Drawn {
  const values = lines.flatMap((line) => line.values).filter((value) => value > 0)
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))]
  const x = (index: number): number => round(LEFT + ((RIGHT - LEFT) * index) / Math.max(xNames.length - 1, 1))
  const y = (value: number): number => heightOf((Math.log10(value) - low) / Math.max(high - low, 1))
  const powers = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
  const rungs = powers.map((value) => rung(y(value), `${Number(value.toPrecision(1))}${unit}`))
  const names = xNames.map((name, index) => xName(x(index), name))
  const body = lines.map((line, index) =>
    polyline(
      index,
      line.own,
      line.values.map((value, at) => [x(at), y(value)]),
    ),
  )
  return { body: [...rungs, ...names, ...body, ...legend(lines)], height: LINES_HEIGHT }
}

const SHARES = [0, 0.25, 0.5, 0.75, 1]
const MOST_TICKS = 8

function drawCourse({ seconds, lines, mark }: Course): Drawn {
  const x = (at: number): number => round(LEFT + ((RIGHT - LEFT) * Math.min(at, seconds)) / seconds)
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((each) => seconds / each <= MOST_TICKS) ?? 1000
  const ticks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step)
  const body = lines.map(({ points, own }, index) => {
    const shown = points.filter(([at]) => at <= seconds)
    return polyline(
      index,
      own,
      shown.map(([at, share]) => [x(at), heightOf(Math.min(share, 1))]),
    )
  })
  return {
    body: [
      ...SHARES.map((share) => rung(heightOf(share), `${share * 100} %`)),
      ...ticks.map((at) => xName(x(at), `${at} s`)),
      `<path class="mark" d="M${x(mark.value)} ${TOP - 6}V${BOTTOM}"/>`,
      `<text x="${x(mark.value) + 6}" y="${BOTTOM - 8}">${escaped(mark.label)}</text>`,
      ...body,
      ...legend(lines),
    ],
    height: LINES_HEIGHT,
  }
}

/** Where a share of the height is. */
function heightOf(share: number): number {
  return round(BOTTOM - (BOTTOM - TOP) * share)
}

function rung(y: number, name: string): string {
  return `<path class="axis" stroke-opacity=".3" d="M${LEFT} ${y}H${RIGHT}"/><text class="end" x="${LEFT - 6}" y="${y + 4}">${escaped(name)}</text>`
}

function xName(x: number, name: string): string {
  return `<text class="mid" x="${x}" y="${BOTTOM + 16}">${escaped(name)}</text>`
}

function polyline(index: number, own: boolean | undefined, points: readonly Point[]): string {
  return `<polyline ${strokeOf(index, own)} points="${points.map((point) => point.join(',')).join(' ')}"/>`
}

/** Three names a row. */
function legend(lines: readonly { readonly name: string; readonly own?: boolean }[]): string[] {
  return lines.map(({ name, own }, index) => {
    const [x, y] = [LEFT + (index % 3) * 220, BOTTOM + 38 + Math.floor(index / 3) * 18]
    return `<path ${strokeOf(index, own)} d="M${x} ${y}h20"/><text x="${x + 26}" y="${y + 4}">${escaped(name)}</text>`
  })
}

/** Ours are drawn through, all others are dashed. */
function strokeOf(index: number, own?: boolean): string {
  const dash = own === true ? '' : ' stroke-dasharray="6 4"'
  return `class="line" stroke="${LINE_COLOURS[index % LINE_COLOURS.length]}"${dash}`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

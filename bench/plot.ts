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

/** Lines over sizes from bytes to gibibytes; both axes logarithmic. */
export interface Ladder {
  readonly kind: 'ladder'
  readonly xNames: readonly string[]
  readonly unit: string
  readonly lines: readonly { readonly name: string; readonly values: readonly number[]; readonly own?: boolean }[]
}

export type Plot = Bars | Ladder

const WIDTH = 720
const TOP = 36
/** Readable on white and on black alike; the text follows the reader's scheme. */
const STYLE = `<style>text{fill:#444;font:12px sans-serif}.title{font-size:13px;font-weight:bold}.end{text-anchor:end}.mid{text-anchor:middle}
.own{fill:#1e88e5;stroke:#1e88e5}.other{fill:#9e9e9e;stroke:#9e9e9e}.line{fill:none;stroke-width:2}.span,.axis{stroke:#777;stroke-width:1}.mark{stroke:#43a047;stroke-width:2;stroke-dasharray:5 4}
@media (prefers-color-scheme:dark){text{fill:#ccc}}</style>`
const LINE_COLOURS = ['#1e88e5', '#43a047', '#fb8c00', '#8e24aa', '#e53935', '#00897b']

/** An SVG picture; the same data make the same text. */
export function draw(plot: Plot, title: string): string {
  const { body, height } = plot.kind === 'bars' ? drawBars(plot) : drawLadder(plot)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">
${STYLE}
<text class="title" x="8" y="20">${escaped(title)}</text>
${body.join('\n')}
</svg>
`
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

const LADDER_HEIGHT = 380

function drawLadder({ xNames, unit, lines }: Ladder): Drawn {
  const [left, right, bottom] = [64, WIDTH - 16, LADDER_HEIGHT - 60]
  const values = lines.flatMap((line) => line.values).filter((value) => value > 0)
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))]
  const x = (index: number): number => round(left + ((right - left) * index) / Math.max(xNames.length - 1, 1))
  const y = (value: number): number =>
    round(bottom - ((bottom - TOP) * (Math.log10(value) - low)) / Math.max(high - low, 1))
  const powers = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
  const grid = powers.map(
    (value) =>
      `<path class="axis" stroke-opacity=".3" d="M${left} ${y(value)}H${right}"/><text class="end" x="${left - 6}" y="${y(value) + 4}">${Number(value.toPrecision(1))}${escaped(unit)}</text>`,
  )
  const names = xNames.map(
    (name, index) => `<text class="mid" x="${x(index)}" y="${bottom + 16}">${escaped(name)}</text>`,
  )
  const drawn = lines.map((line, index) => {
    const points = line.values.map((value, at) => `${x(at)},${y(value)}`).join(' ')
    const colour = LINE_COLOURS[index % LINE_COLOURS.length]
    return `<polyline class="line" stroke="${colour}"${line.own === true ? '' : ' stroke-dasharray="6 4"'} points="${points}"/>`
  })
  const step = (right - left) / Math.max(lines.length, 1)
  const legend = lines.map(({ name, own }, index) => {
    const at = round(left + step * index)
    const colour = LINE_COLOURS[index % LINE_COLOURS.length]
    const dash = own === true ? '' : ' stroke-dasharray="6 4"'
    return `<path class="line" stroke="${colour}"${dash} d="M${at} ${bottom + 38}h20"/><text x="${at + 26}" y="${bottom + 42}">${escaped(name)}</text>`
  })
  return { body: [...grid, ...names, ...drawn, ...legend], height: LADDER_HEIGHT }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { draw, type Plot } from './plot.ts'

/** A line that has to hold: `value` is at most this, or at least that. */
export interface Goal {
  readonly what: string
  readonly value: number
  readonly atMost?: number
  readonly atLeast?: number
  readonly unit: string
}

export interface Column {
  /** With its unit, where it has one. */
  readonly heading: string
  /** Of numbers, after the point. */
  readonly digits?: number
}

/** An empty cell is a figure that this row has not; JSON keeps undefined as null. */
export type Cell = string | number | undefined | null

/** What a benchmark found: plain data, that can be printed, drawn, and kept as a line of JSON. */
export interface Report {
  readonly name: string
  readonly title: string
  readonly columns: readonly Column[]
  /** The first cell is the name of the row. */
  readonly rows: readonly (readonly Cell[])[]
  /** Lines below the table. */
  readonly notes: readonly string[]
  readonly goals: readonly Goal[]
  readonly plots: readonly NamedPlot[]
}

export interface NamedPlot {
  /** Of its file, without .svg. */
  readonly name: string
  readonly title: string
  readonly plot: Plot
}

/** A report as it is kept: with how, where and when. */
export interface KeptReport extends Report {
  readonly command: string
  readonly machine: string
  readonly at: string
}

/** The table as text, or in Markdown. */
export function tableOf({ columns, rows }: Pick<Report, 'columns' | 'rows'>, markdown = false): string {
  const texts = [
    columns.map(({ heading }) => heading),
    ...rows.map((row) => row.map((cell, at) => shown(cell, columns[at]))),
  ]
  const widths = columns.map((_, at) => Math.max(3, ...texts.map((row) => row[at]?.length ?? 0)))
  const lines = texts.map((row) => {
    const cells = row.map((text, at) => (at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0)))
    return markdown ? `| ${cells.join(' | ')} |` : cells.join('  ')
  })
  if (markdown)
    lines.splice(1, 0, `|${widths.map((width, at) => '-'.repeat(width + 1) + (at === 0 ? '-' : ':')).join('|')}|`)
  return lines.join('\n')
}

function shown(cell: Cell, column?: Column): string {
  if (cell === undefined || cell === null) return '–'
  return typeof cell === 'number' ? cell.toFixed(column?.digits ?? 2) : cell
}

export function showReport(report: Report): void {
  console.log(`\n${report.title}\n${tableOf(report)}`)
  for (const note of report.notes) console.log(note)
}

/** With some slack a goal is only a guard against a collapse. */
export function goalsHold(goals: readonly Goal[], slack: number): boolean {
  return goals.every((goal) => holds(goal, slack))
}

/** Says of each goal whether it holds, and of all of them together. */
export function showGoals(goals: readonly Goal[], slack: number): boolean {
  if (goals.length > 0) console.log(slack === 1 ? '\nGoals' : `\nGoals, ${slack} times over`)
  for (const goal of goals)
    console.log(`${holds(goal, slack) ? 'met   ' : 'MISSED'}  ${goal.what}: ${barOf(goal, slack)}`)
  return goalsHold(goals, slack)
}

/** Whether a value is on its side of the bar, or not further than `slack` times beyond it. */
export function holds(
  { value, atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY }: Goal,
  slack: number,
): boolean {
  return value <= atMost * slack && value >= atLeast / slack
}

function barOf({ value, atMost, atLeast, unit }: Goal, slack: number): string {
  const bars = [
    ...(atMost === undefined ? [] : [`at most ${Number((atMost * slack).toPrecision(3))}${unit}`]),
    ...(atLeast === undefined ? [] : [`at least ${Number((atLeast / slack).toPrecision(3))}${unit}`]),
  ]
  return `${value.toFixed(2)}${unit} (${bars.join(', ')})`
}

/** Adds a report to a file of lines of JSON. `command` made it. */
export async function keepReport(report: Report, command: string, file: string): Promise<void> {
  const kept: KeptReport = { ...report, command, machine: machine(), at: new Date().toISOString().slice(0, 10) }
  await appendFile(file, `${JSON.stringify(kept)}\n`)
}

/** The reports of such a file, the last one of each name, in the order of their first. */
export async function keptReports(file: string): Promise<KeptReport[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean)
  const byName = new Map(lines.map((line) => JSON.parse(line) as KeptReport).map((report) => [report.name, report]))
  return [...byName.values()]
}

/** Draws what a report has to be drawn, each as DIR/NAME.svg. */
export async function drawReport({ plots }: Report, dir: string): Promise<void> {
  if (plots.length > 0) await mkdir(dir, { recursive: true })
  for (const { name, title, plot } of plots) await writeFile(join(dir, `${name}.svg`), draw(plot, title))
}

function machine(): string {
  const model = cpus()[0]?.model ?? 'unknown processor'
  return `${cpus().length} cores of ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`
}

import { readFile, writeFile } from 'node:fs/promises'
import { type Goal, holds, type KeptReport, tableOf } from './report.ts'

/**
 * Writes what was kept into a page: each report between `<!-- NAME -->` and `<!-- /NAME -->`, and the goals of all of
 * them between `<!-- goals -->` and `<!-- /goals -->`. Reports without such a place are named in the answer.
 */
export async function writeReadme(file: string, reports: readonly KeptReport[]): Promise<string[]> {
  const placed = new Map([
    ['goals', goalTable(reports)],
    ...reports.map((report) => [report.name, sectionOf(report)] as const),
  ])
  let text = await readFile(file, 'utf8')
  const homeless: string[] = []
  for (const [name, section] of placed) {
    const [before, after] = [text.indexOf(`<!-- ${name} -->`), text.indexOf(`<!-- /${name} -->`)]
    if (before < 0 || after < before) homeless.push(name)
    else text = `${text.slice(0, before)}<!-- ${name} -->\n\n${section}\n\n${text.slice(after)}`
  }
  await writeFile(file, text)
  return homeless
}

/** A report as Markdown: what was done, where and when, the table, its notes, and the plots that lie in plots/. */
export function sectionOf(report: KeptReport): string {
  const { title, command, at, machine, notes, plots } = report
  const head = `${title}.\n\`${command}\`, ${at}, ${machine}.`
  const rest = [
    ...(notes.length > 0 ? [notes.map((note) => `- ${note}`).join('\n')] : []),
    ...plots.map((plot) => `![${plot.title}](plots/${plot.name}.svg)`),
  ]
  return [head, tableOf(report, true), ...rest].join('\n\n')
}

function goalTable(reports: readonly KeptReport[]): string {
  const rows = reports.flatMap(({ name, command, goals }) => goals.map((goal) => rowOf(goal, command, name)))
  const columns = ['what', 'figure', 'bar', '', 'command'].map((heading) => ({ heading }))
  return tableOf({ columns, rows }, true)
}

function rowOf(goal: Goal, command: string, name: string): string[] {
  const { what, value, atMost, atLeast, unit } = goal
  const bar = atMost === undefined ? `≥ ${round(atLeast ?? Number.NaN)}${unit}` : `≤ ${round(atMost)}${unit}`
  return [what, `${round(value)}${unit}`, bar, holds(goal, 1) ? 'met' : '**missed**', `[\`${command}\`](#${name})`]
}

/** Three digits that count are enough for a figure that varies by ten in a hundred. */
function round(value: number): string {
  return String(Number(value.toPrecision(3)))
}

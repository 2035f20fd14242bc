import { writeFileSync } from 'node:fs'
import { simulate } from './net.ts'
import { type Command, parseCommand, USAGE } from './options.ts'
import { describe, figuresOf } from './report.ts'
import { drawProgress } from './svg.ts'

process.exitCode = await main(process.argv.slice(2))

/** 0: every peer that stayed has everything; 1: not so; 2: bad flags. */
async function main(args: readonly string[]): Promise<number> {
  let command: Command | undefined
  try {
    command = parseCommand(args)
  } catch (error) {
    console.error(`sim: ${error instanceof Error ? error.message : String(error)}; see --help`)
    return 2
  }
  if (command === undefined) {
    console.log(USAGE)
    return 0
  }
  return run(command)
}

async function run({ options, json, svg }: Command): Promise<number> {
  const startedAtMs = performance.now()
  const outcome = await simulate(options)
  const wallMs = performance.now() - startedAtMs
  const figures = figuresOf(outcome)
  if (svg !== undefined) writeFileSync(svg, drawProgress(outcome))
  console.log(json ? JSON.stringify({ options, figures, wallMs }, undefined, 2) : describe(outcome, figures, wallMs))
  return figures.unfinished === 0 ? 0 : 1
}

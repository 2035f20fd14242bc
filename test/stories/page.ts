import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { freePort, type Ran, repository, run } from '#devnet'

/** A fenced block of a page in docs/. */
export interface Block {
  readonly language: string
  readonly text: string
  /** Where it begins in the page, counted from 1. */
  readonly line: number
}

/**
 * What becomes of a block. `shell`: it is run. `file`: it begins with a comment that is a file's name, and is written
 * there. `output`: what the commands right before it print. `shown`: not run, in a language that is not ours (Go).
 */
export type Step =
  | { readonly kind: 'shell'; readonly block: Block }
  | { readonly kind: 'file'; readonly block: Block; readonly path: string }
  | { readonly kind: 'output'; readonly block: Block }
  | { readonly kind: 'shown'; readonly block: Block }

const NOT_RUN = ['go', 'mermaid', 'dockerfile']

export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\S*)[^\n]*\n(.*?)^```$/gms)].map(({ 1: language = '', 2: text = '', index }) => ({
    language,
    text,
    line: page.slice(0, index).split('\n').length,
  }))
}

/** Every block has a step, or the page is wrong: nothing in it goes without being tried. */
export function stepOf(block: Block): Step {
  if (NOT_RUN.includes(block.language)) return { kind: 'shown', block }
  if (block.language === 'sh') return { kind: 'shell', block }
  if (block.language === 'text') return { kind: 'output', block }
  const path = /^(?:\/\/|#) ([\w@.-]+(?:\/[\w@.-]+)*)$/.exec(block.text.split('\n', 1)[0] ?? '')?.[1]
  if (path !== undefined && !path.split('/').includes('..')) return { kind: 'file', block, path }
  throw new Error(`line ${block.line}: a block of "${block.language}" is neither run nor the text of a named file`)
}

/**
 * All steps as one script, so that a directory, a variable or a background process lasts as it does for a reader. A
 * command that fails ends it, but one that is followed by `# exit N`: that has to fail so.
 */
export function scriptOf(steps: readonly Step[]): string {
  const parts = steps.map((step, index) => {
    const text = step.kind === 'shell' ? shell(step.block) : step.kind === 'file' ? heredoc(step) : ''
    return `printf '\\n@@ ${index}\\n'\n${text}`
  })
  return ['set -eE', `trap 'echo "failed: $BASH_COMMAND"' ERR`, ...parts, `printf '\\n@@ done\\n'`, ''].join('\n')
}

function shell({ text }: Block): string {
  return text
    .replaceAll(/ \\\n\s*/g, ' ')
    .replaceAll(
      /^(.*\S) +# exit (\d+)$/gm,
      (_, command: string, code: string) =>
        `__code=0; ${command} || __code=$?; [ $__code = ${code} ] || { echo "exit code $__code: ${command.replaceAll(/["$`\\]/g, '')}"; exit 1; }`,
    )
}

/** A reader saves a file where the shell is. */
function heredoc({ path, block }: Extract<Step, { kind: 'file' }>): string {
  return `mkdir -p '${dirname(path)}'\ncat > '${path}' <<'@@END'\n${block.text}@@END\n`
}

/** Runs a page in an empty folder, its work home beside it, and compares what is printed with what the page says. */
export async function runPage(page: string, dir: string, ports: readonly string[]): Promise<void> {
  const steps = blocksOf(await withFreePorts(page, ports)).map(stepOf)
  await mkdir(join(dir, 'here'), { recursive: true })
  await writeFile(join(dir, 'page.sh'), `cd '${join(dir, 'here')}'\nexec 2>&1\n${scriptOf(steps)}`)
  const env = {
    PATH: `${join(repository, 'bin')}:${process.env['PATH'] ?? ''}`,
    HOME: dir,
    DRAGONFLY_WORKHOME: join(dir, 'home'),
    DRAGONFLY_LOGDIR: undefined,
    DRAGONFLY_BUILD: 'skip',
    NO_COLOR: '1',
  }
  const ran = await run('/bin/bash', [join(dir, 'page.sh')], { cwd: dir, env, timeoutMs: 280_000 })
  compare(steps, ran)
}

function compare(steps: readonly Step[], ran: Ran): void {
  const printed = ran.stdout.split(/\n@@ (?:\d+|done)\n/).slice(1)
  if (!ran.stdout.endsWith('@@ done\n')) {
    const step = steps[printed.length - 1]
    throw new Error(`the block at line ${step?.block.line} failed (exit ${ran.code}):\n${printed.at(-1)}`)
  }
  for (const [index, step] of steps.entries()) {
    if (step.kind !== 'output') continue
    const got = `${(printed[index - 1] ?? '').trimEnd()}\n`
    if (patternOf(step.block.text).test(got)) continue
    throw new Error(`line ${step.block.line}: the page says\n${step.block.text}\nbut it is\n${got}`)
  }
}

/** `…` stands for what varies in a line, a line of it alone for any lines. */
export function patternOf(text: string): RegExp {
  const lines = text.trimEnd().split('\n')
  const parts = lines.map((line) =>
    line.trim() === '…' ? '(?:.*\n)*' : `${line.trimEnd().split('…').map(literal).join('.*?')}[ \\t]*\n`,
  )
  return new RegExp(`^${parts.join('')}$`)
}

function literal(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** The ports that the page names may be taken on this machine. */
async function withFreePorts(page: string, ports: readonly string[]): Promise<string> {
  const free = await Promise.all(ports.map(() => freePort()))
  // In one go: a free port may have the digits of another one of the page.
  return page.replaceAll(new RegExp(ports.join('|') || '(?!)', 'g'), (port) => String(free[ports.indexOf(port)]))
}

import { describe } from '../one-line.ts'

/** What an evaluator says of one parent. */
export interface Verdict {
  /** Finite; the higher, the better. */
  readonly score: number
  /** Named only where all are bad. */
  readonly bad: boolean
}

/** An answer of an evaluator that cannot be used. */
export class InvalidVerdicts extends Error {
  override readonly name = 'InvalidVerdicts'
}

/** The verdicts in what an evaluator's process answered, or an InvalidVerdicts that says what is wrong. */
export function checkVerdicts(answer: unknown, parents: number): readonly Verdict[] {
  const { scores, bad } = Object(answer) as { readonly scores?: unknown; readonly bad?: unknown }
  const numbers = listOf(scores, parents, 'scored')
  const words = Array.isArray(bad) && bad.length === 0 ? [] : listOf(bad, parents, 'called bad or not')
  return numbers.map((score, at) => ({ score: checkScore(score), bad: checkBad(words[at] ?? false) }))
}

function listOf(value: unknown, parents: number, done: string): readonly unknown[] {
  const length = Array.isArray(value) ? value.length : 0
  if (Array.isArray(value) && length === parents) return value as readonly unknown[]
  throw new InvalidVerdicts(`it ${done} ${length} of ${parents} parents`)
}

function checkScore(score: unknown): number {
  if (typeof score === 'number' && Number.isFinite(score)) return score
  throw new InvalidVerdicts(`it scored a parent ${told(score)}, expected a finite number`)
}

function checkBad(bad: unknown): boolean {
  if (typeof bad === 'boolean') return bad
  throw new InvalidVerdicts(`isBadParent gave ${told(bad)}, expected true or false`)
}

/** What is no number in JSON comes as its name. */
function told(value: unknown): string {
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? value : describe(value)
}

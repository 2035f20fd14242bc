/** What an evaluator's process says of a ranking; nothing of it is believed before it was checked. */
export interface JudgedParents {
  /** In the order of the parents; a text where it was no number, which JSON could not tell. */
  readonly scores: readonly unknown[]
  /** The same; empty when the evaluator calls nobody bad. */
  readonly bad: readonly unknown[]
}

type Method = (...args: readonly unknown[]) => unknown

/** Asks an evaluator about all parents of a child: at once where it can, else one after the other. */
export async function judgeParents(client: object, args: readonly unknown[]): Promise<JudgedParents> {
  const [parents, child, task] = args
  const all = parents as readonly unknown[]
  const atOnce = methodOf(client, 'evaluateParents')
  const scores: unknown =
    atOnce === undefined
      ? await forEach(all, client, methodOf(client, 'evaluate'), [child, task])
      : await Reflect.apply(atOnce, client, [all, child, task])
  if (!Array.isArray(scores)) throw new Error('evaluateParents gave no array')
  const bad = await forEach(all, client, methodOf(client, 'isBadParent'), [])
  return { scores: scores.map(sayable), bad }
}

async function forEach(
  parents: readonly unknown[],
  client: object,
  method: Method | undefined,
  rest: readonly unknown[],
): Promise<unknown[]> {
  if (method === undefined) return []
  const answers: unknown[] = []
  for (const parent of parents) answers.push(await Reflect.apply(method, client, [parent, ...rest]))
  return answers
}

function methodOf(client: object, name: string): Method | undefined {
  const method: unknown = Reflect.get(client, name)
  return typeof method === 'function' ? (method as Method) : undefined
}

/** NaN and the infinities would be null in JSON. */
function sayable(score: unknown): unknown {
  return typeof score === 'number' && !Number.isFinite(score) ? String(score) : score
}

/** Nobody can change what is frozen, all the way down. */
export function deepFreeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}

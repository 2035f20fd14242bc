import type { FailureCode } from '#core'

/** What a host looks at, in its order, before it uses a plugin. */
const STEPS = ['file', 'module', 'init', 'metadata', 'apiVersion', 'client', 'permissions'] as const

export type Step = (typeof STEPS)[number] | 'options'

/** By the words of the host's reasons; the first that fits. */
const BY_REASON: readonly [words: RegExp, step: Step][] = [
  [/^it cannot be (read|loaded)|^loading the module|^package\.json|^it did not react/, 'module'],
  [/DragonflyPluginOptions/, 'options'],
  [/DragonflyPluginInit|^reading \w+ failed/, 'init'],
  [/permissions/, 'permissions'],
  [/apiVersion/, 'apiVersion'],
  [/metadata/, 'metadata'],
  [/client/, 'client'],
]

/** Where a host stopped. */
export function stepOf(code: FailureCode, reason: string): Step {
  if (code === 'config.invalid') return /grants/.test(reason) ? 'permissions' : /pins/.test(reason) ? 'file' : 'options'
  if (code === 'plugin.refused') return /granted/.test(reason) ? 'permissions' : 'file'
  return BY_REASON.find(([words]) => words.test(reason))?.[1] ?? 'module'
}

/** What is known to be right when a host stopped there. (Options are looked at both before and after the module.) */
export function stepsBefore(step: Step): readonly Step[] {
  const place = STEPS.findIndex((name) => name === step)
  return STEPS.slice(1, Math.max(1, place))
}

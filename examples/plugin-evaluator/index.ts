import type { Evaluator, EvaluatorInit, PeerInfo } from 'dragonfly-ts/plugin'
import { type Options, schema } from './options.ts'

export const DragonflyPluginOptions = schema

export const DragonflyPluginInit: EvaluatorInit = (options) => ({
  // Held to the schema above: by now they have these types.
  client: nearest(options as unknown as Options),
  metadata: { type: 'scheduler', name: 'evaluator' },
})

/** The nearest parent is the best; of two that are as near, the one with more room. */
function nearest({ near, free, crowded }: Options): Evaluator {
  return {
    evaluate: (parent, child) =>
      near * sharedParts(parent.host.location, child.host.location) + free * (1 - takenShare(parent)),
    isBadParent: (parent) => parent.slow || takenShare(parent) > crowded,
  }
}

/** How many leading parts of two locations are the same: `eu|zone-1|rack-7` and `eu|zone-1|rack-8` share two. */
function sharedParts(one: string, other: string): number {
  if (one === '' || other === '') return 0
  const [parts, others] = [one.split('|'), other.split('|')]
  const differs = parts.findIndex((part, index) => part !== others[index])
  return differs < 0 ? parts.length : differs
}

function takenShare({ host }: PeerInfo): number {
  return host.uploads / Math.max(host.uploadLimit, 1)
}

import { Failure } from '#core'
import { findPlugins, type PluginDir, type PluginType } from './find.ts'
import { type InspectOptions, inspectPlugin } from './inspect.ts'

/**
 * For who asked not to start with a plugin that cannot be used: loads each one of the types that the program uses.
 * Fails with the code of the first that is broken or refused, and names them all; `config.invalid` for a directory
 * that is not there.
 */
export async function refuseBroken(
  how: InspectOptions & { readonly dirs: readonly PluginDir[]; readonly types: readonly PluginType[] },
): Promise<void> {
  const failures: Failure[] = []
  for (const { dir, problem, plugins } of await findPlugins(how.dirs)) {
    if (problem !== undefined && (problem !== 'missing' || dir.given)) {
      const why = problem === 'missing' ? 'does not exist' : `cannot be read: ${problem.reason}`
      failures.push(new Failure('config.invalid', `plugin directory ${dir.path} ${why}`))
    }
    for (const found of plugins.filter(({ type }) => how.types.includes(type))) {
      const listed = await inspectPlugin(found, how)
      if (listed.state === 'broken' || listed.state === 'refused')
        failures.push(new Failure(listed.code, `plugin ${found.path}: ${listed.reason}`))
    }
  }
  const [first] = failures
  if (first === undefined) return
  const told = failures.map(({ message }) => message).join('; ')
  throw new Failure(first.code, `pluginPolicy.strict is set, and not every plugin can be used: ${told}`)
}

import { expect, test } from 'vitest'
import { evaluatorText, FILE } from './evaluator/test-evaluator.ts'
import { refuseBroken } from './strict.ts'
import { dirWith, pluginText, policyOf } from './test-host.ts'
import type { PluginType } from './find.ts'

const GOOD = { 'd7y-resource-plugin-good.mjs': pluginText('good'), [FILE]: evaluatorText('evaluate: () => 1') }

async function start(files: Record<string, string>, types: readonly PluginType[], dirs: readonly string[] = []) {
  const given = [await dirWith(files), ...dirs].map((path) => ({ path, given: true }))
  await refuseBroken({ dirs: given, types, options: {}, policy: policyOf(), warn: () => undefined })
}

test('with good plugins, or none, a strict start goes on', async () => {
  await expect(start(GOOD, ['resource', 'scheduler'])).resolves.toBeUndefined()
  await expect(start({}, ['resource'])).resolves.toBeUndefined()
})

test('it is refused for every plugin that cannot be used, all of them named', async () => {
  const broken = { ...GOOD, 'd7y-resource-plugin-a.mjs': 'throw new Error("ill")', 'd7y-resource-plugin-b.mjs': '' }
  await expect(start(broken, ['resource'])).rejects.toMatchObject({
    code: 'plugin.broken',
    message: expect.stringMatching(/^pluginPolicy.strict is set.*plugin-a\.mjs: .*ill; plugin .*plugin-b\.mjs: symbol/),
  })
})

test('what the program would not use does not keep it from starting', async () => {
  const broken = { ...GOOD, [FILE]: 'throw new Error("ill")', 'd7y-resource-plugin-https.mjs': 'ill' }
  await expect(start(broken, ['resource'])).resolves.toBeUndefined()
  await expect(start(broken, ['scheduler'])).rejects.toMatchObject({ code: 'plugin.broken' })
})

test('a directory that the user named has to be there', async () => {
  await expect(start(GOOD, ['resource'], ['/nowhere/at/all'])).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining('plugin directory /nowhere/at/all does not exist'),
  })
})

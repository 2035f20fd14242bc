import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { pluginSettingsOf } from './plugin-settings.ts'

async function file(text: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'plugin-settings-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const path = join(dir, 'settings.yaml')
  await writeFile(path, text)
  return path
}

test('options, grants and directories come from the file, the environment and flags', async () => {
  vi.stubEnv('DRAGONFLY_PLUGINS', '{ store: { b: env, c: env } }')
  onTestFinished(() => void vi.unstubAllEnvs())
  const config = await file(`
pluginDirs: [plugins, /abs]
plugins: { Store: { a: file, b: file, c: file } }
pluginPolicy: { memory: 1GiB, grants: { store: { files: /x } }, pins: { STORE: ab } }
`)
  const flags = { config, pluginOption: ['store.c=flag'], pluginGrant: ['store.files=/y', 'other=all'] }
  for (const program of [undefined, 'dfdaemon', 'cdn', 'scheduler']) {
    const { options, policy, pluginDirs } = pluginSettingsOf(flags, program)
    expect(options).toEqual({ store: { a: 'file', b: 'env', c: 'flag' } })
    expect(policy).toMatchObject({
      memory: 2 ** 30,
      hangTimeout: 10_000,
      grants: { store: { files: ['/x', '/y'] }, other: 'all' },
      pins: { store: 'ab' },
    })
    expect(pluginDirs).toEqual([resolve('plugins'), '/abs'])
  }
})

test('nothing configured is the defaults', () => {
  const { options, policy, pluginDirs } = pluginSettingsOf({})
  expect([options, policy.grants, policy.pins, pluginDirs]).toEqual([{}, {}, {}, []])
})

test('a mistake in the file is told with its line, and without the value', async () => {
  const wrong = [
    'plugins:\n  store:\n    - password: hunter2\n',
    'plugins:\n  - store: { password: hunter2 }\n',
    'plugins:\n  store:\n    a: &a [hunter2, *a]\n',
    'plugins:\n  store: { __proto__: { password: hunter2 } }\n',
  ]
  for (const text of wrong) {
    const config = await file(text)
    const act = (): unknown => pluginSettingsOf({ config })
    expect(act, text).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        message: expect.stringMatching(/settings\.yaml:[123]:\d+: plugins/),
      }),
    )
    expect(act).not.toThrow(/hunter2/)
  }
})

test('a mistake on the command line is not blamed on the file', async () => {
  const config = await file('plugins: {}\n')
  expect(() => pluginSettingsOf({ config, pluginOption: ['hunter2'] })).toThrow(
    expect.objectContaining({ code: 'usage.invalid', message: expect.not.stringMatching(/settings\.yaml|hunter2/) }),
  )
})

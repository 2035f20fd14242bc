import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { PROGRAM_ENV, processesNaming, programPath, programsBuilt, spawnNode, tempDir, until } from '#devnet'
import { dirWith, pluginText } from '../test-host.ts'

/** Starts a program that bears the name of the mark and stays in its group; then does as `then` says. */
const starts = (then: string): string => `{
  async download() {
    const { spawn } = await import('node:child_process')
    const { writeFileSync } = await import('node:fs')
    spawn('/bin/sh', ['-c', 'sleep 600; true', process.env.MARK], { stdio: 'ignore' })
    writeFileSync(process.env.MARK, '')
    ${then}
  },
}`

test.each([
  ['it spins when its host is killed', 'for (;;);', 'SIGKILL'],
  ['it does not hear that its host is killed', 'process.stdin.destroy(); await new Promise(() => {})', 'SIGKILL'],
  ['it exits by itself', 'process.exit(3)', undefined],
] as const)('nothing is left of a plugin, and of the programs it started, when %s', async (_, then, signal) => {
  await programsBuilt()
  await using dir = await tempDir('guard')
  await using tmp = await tempDir('guard of')
  const plugins = await dirWith({ 'd7y-resource-plugin-bad.mjs': pluginText('bad', { client: starts(then) }) })
  const mark = dir.join('mark')
  const ways = ['--workhome', dir.join('home'), '--plugin-dir', plugins, '--plugin-grant', 'bad=all']
  await using host = await spawnNode({
    args: [programPath('dfget'), 'bad://a/b', '-O', dir.join('out'), '-p', 'source', '--timeout', '60s', ...ways],
    env: { ...PROGRAM_ENV, MARK: mark, TMPDIR: tmp.path },
  })
  await until(() => existsSync(mark), { what: 'the plugin to be called' })
  if (signal !== undefined) host.kill(signal)
  await host.exited
  const left = (): number[] => [mark, tmp.path].flatMap(processesNaming)
  await expect.poll(left, { timeout: 10_000 }).toEqual([])
  await expect.poll(() => readdir(tmp.path), { timeout: 10_000 }).toEqual([])
})

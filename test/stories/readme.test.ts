import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { endProcesses, processesNaming, run, tempDir } from '#devnet'
import { STORY } from './story.ts'

const root = join(import.meta.dirname, '../..')

test('the first command of the README works as it stands', STORY, async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const [command] = /```sh\n(bin\/dfget .*)\n/.exec(readme)?.slice(1) ?? []
  await using dir = await tempDir('readme')
  const written = command?.replace('/tmp/resource', dir.join('resource')) ?? ''
  const env = { DRAGONFLY_WORKHOME: dir.join('home'), DRAGONFLY_LOGDIR: dir.join('logs') }
  try {
    const ran = await run('/bin/sh', ['-c', written], { env, cwd: root })
    expect(ran.code, ran.stderr).toBe(0)
    expect(await readFile(dir.join('resource'), 'utf8')).toBe('hello world')
    expect(processesNaming(dir.path)).toHaveLength(1)
  } finally {
    await endProcesses(processesNaming(dir.path))
  }
})

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run, tempDir, until } from '#devnet'
import { STORY } from './story.ts'

const root = join(import.meta.dirname, '../..')

test('the first command of the README works as it stands', STORY, async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const [command] = /```sh\n(bin\/dfget .*)\n/.exec(readme)?.slice(1) ?? []
  await using dir = await tempDir('readme')
  const written = command?.replace('/tmp/resource', dir.join('resource')) ?? ''
  const env = { DRAGONFLY_WORKHOME: dir.join('home'), DRAGONFLY_LOGDIR: dir.join('logs') }
  const ran = await run('/bin/sh', ['-c', written], { env, cwd: root })
  const pid = Number(await readFile(dir.join('home/daemon.pid'), 'utf8'))
  try {
    expect(ran.code, ran.stderr).toBe(0)
    expect(await readFile(dir.join('resource'), 'utf8')).toBe('hello world')
  } finally {
    process.kill(pid)
    await until(() => !existsSync(dir.join('home/daemon.pid')))
  }
})

import { expect, test } from 'vitest'
import { devnet, runProgram, tempDir } from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, resultOf, STORY } from '../stories/story.ts'
import { buildExample } from './built-example.ts'
import { startSshd } from './sshd.ts'

test(
  'sftp: two hosts without the plugin get a file through the seed that has it, and it is read once',
  STORY,
  async () => {
    const content = { size: 24 * MiB + 5, seed: 'sftp story' }
    await using dir = await tempDir('sftp')
    const built = await buildExample('plugin-sftp', dir.join('plugins'))
    await using sshd = await startSshd({ 'model.bin': content })
    process.env['STORY_SFTP_KEY'] = sshd.privateKey
    const options = {
      user: sshd.user,
      privateKey: 'env:STORY_SFTP_KEY',
      hosts: { '127.0.0.1': { hostKey: sshd.hostKey } },
    }
    await using net = await devnet({
      peers: 2,
      seeds: 1,
      pluginDirs: { seeds: [built.dir] },
      seedSettings: { plugins: { sftp: options } },
    })
    const url = sshd.url('model.bin')
    const all = await Promise.all(net.peers.map((peer) => peer.dfget(['-u', url, '-O', dir.join(peer.name), '--json'])))
    for (const ran of all) expect(resultOf(ran)).toMatchObject({ bytes: content.size, bytesFromSource: 0 })
    for (const peer of net.peers) await expectFile(dir.join(peer.name), content)
    // A read that waits for its turn may be asked for again; the file is not.
    expect(sshd.bytesRead()).toBeGreaterThanOrEqual(content.size)
    expect(sshd.bytesRead()).toBeLessThan(content.size + 2 * MiB)
    const secret = sshd.privateKey.split('\n')[2] ?? ''
    expect(secret).toHaveLength(70)
    for (const member of [...net.seeds, ...net.peers]) expect(member.log()).not.toContain(secret)

    const missing = await net.peers[0]!.dfget(['-u', sshd.url('missing'), '-O', dir.join('missing')])
    expect(missing.code).not.toBe(0)
    expect(missing.stderr).toContain('there is nothing at')
    await expectOnly(dir.path, ['peer-1', 'peer-2', 'plugins'])
  },
)

test('sftp: the commands for authors find nothing to complain about', STORY, async () => {
  await using dir = await tempDir('sftp')
  const { file } = await buildExample('plugin-sftp', dir.join('plugins'))
  expectSuccess(await runProgram('dfget', ['plugin', 'check', file]))
  await using sshd = await startSshd({ 'größe.bin': { size: 40 * MiB, seed: 'author' }, empty: new Uint8Array() })
  const options = { user: sshd.user, privateKey: `file:${sshd.keyFile}`, hostKey: sshd.hostKey }
  const flags = Object.entries(options).flatMap(([key, value]) => ['--plugin-option', `sftp.${key}=${value}`])
  const urls = ['--url', sshd.url('gr%C3%B6%C3%9Fe.bin'), '--empty-url', sshd.url('empty'), '--list-url', sshd.url('')]
  const change = ['--change', `printf other > '${sshd.root}/größe.bin'`]
  const ran = await runProgram('dfget', ['plugin', 'test', file, ...urls, ...change, ...flags, '--json'])
  expectSuccess(ran)
  const { rows } = JSON.parse(ran.stdout) as { rows: { check: string; verdict: string }[] }
  expect(rows.filter(({ verdict }) => verdict === 'failed')).toEqual([])
  expect(rows.filter(({ verdict }) => verdict === 'passed').length).toBeGreaterThan(12)
})

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { devnet, runProgram, tempDir, until } from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, resultOf, STORY } from '../stories/story.ts'
import { buildExample } from './built-example.ts'
import { startVerdaccio } from './verdaccio.ts'

test(
  'npm: hosts get a package through the seed that may read it, checked against what its registry says',
  STORY,
  async () => {
    await using dir = await tempDir('npm')
    const built = await buildExample('plugin-npm', dir.join('plugins'))
    await using registry = await startVerdaccio()
    const noise = randomBytes(9 * MiB)
    await registry.publish('private-model', '1.0.0', { 'weights.bin': noise })
    await registry.publish('private-model', '1.0.1', { 'weights.bin': noise, 'README.md': 'more' })
    process.env['STORY_NPM_TOKEN'] = registry.token
    const registries = { [registry.host]: { insecure: true, token: 'env:STORY_NPM_TOKEN' } }
    await using net = await devnet({
      peers: 2,
      seeds: 1,
      pluginDirs: { seeds: [built.dir] },
      seedSettings: { plugins: { npm: { registries } } },
      schedulerSettings: { seedRetryAfter: '200ms' },
    })
    const url = `npm://${registry.host}/private-model`
    const all = await Promise.all(
      net.peers.map((peer) => peer.dfget(['-u', `${url}@1.0.0`, '-O', dir.join(peer.name), '--json'])),
    )
    for (const ran of all) expect(resultOf(ran).bytesFromSource).toBe(0)
    const tarball = await registry.tarball('private-model', '1.0.0')
    for (const peer of net.peers) await expectFile(dir.join(peer.name), new Uint8Array(tarball))
    expect(registry.reads('private-model-1.0.0.tgz')).toBe(1)
    for (const member of [...net.seeds, ...net.peers]) expect(member.log()).not.toContain(registry.token)

    // Somebody who can write to the registry's disk, but not to what it publishes of its packages.
    const genuine = await registry.tarball('private-model', '1.0.1')
    const tampered = Buffer.from(genuine)
    tampered[tampered.length - (9 * MiB) / 2] = (tampered[tampered.length - (9 * MiB) / 2] ?? 0) ^ 1
    await registry.tamper('private-model', '1.0.1', tampered)
    const [first, second] = net.peers
    const refused = await first!.dfget(['-u', `${url}@1.0.1`, '-O', dir.join('bad')])
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('is not what its own origin publishes: real[sha512:')
    await expectOnly(dir.path, ['peer-1', 'peer-2', 'plugins'])

    // Mended, it is read anew by all: nothing of the bad bytes was kept.
    await registry.tamper('private-model', '1.0.1', genuine)
    const good = ['-u', `${url}@1.0.1`, '-O', dir.join('good')]
    await until(async () => (await second!.dfget(good)).code === 0, {
      timeoutMs: 60_000,
      what: 'the seed to be asked again',
    })
    expectSuccess(await first!.dfget(['-u', `${url}@1.0.1`, '-O', dir.join('good too')]))
    for (const name of ['good', 'good too']) expect((await readFile(dir.join(name))).equals(genuine)).toBe(true)
  },
)

test('npm: the commands for authors find nothing to complain about', STORY, async () => {
  await using dir = await tempDir('npm')
  const { file } = await buildExample('plugin-npm', dir.join('plugins'))
  expectSuccess(await runProgram('dfget', ['plugin', 'check', file]))
  await using registry = await startVerdaccio()
  await registry.publish('left', '1.0.0', { 'noise.bin': randomBytes(MiB) })
  const base = `npm://${registry.host}/left`
  const args = ['--url', `${base}@1.0.0`, '--list-url', base, '--plugin-option', 'npm.insecure=true', '--json']
  const ran = await runProgram('dfget', ['plugin', 'test', file, ...args])
  expectSuccess(ran)
  const { rows } = JSON.parse(ran.stdout) as { rows: { check: string; verdict: string }[] }
  expect(rows.filter(({ verdict }) => verdict === 'failed')).toEqual([])
  expect(rows.filter(({ verdict }) => verdict === 'passed').length).toBeGreaterThan(10)
})

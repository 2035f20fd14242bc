import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { freePort, Member, runProgram, startNginx, type TempDir, tempDir, until } from '#devnet'
import { Scope } from '#runtime'
import { expectFile, expectSuccess, MiB, resultOf, STORY } from './story.ts'

const EXAMPLE = join(import.meta.dirname, '../../examples/plugin-evaluator')
const FILE = 'd7y-scheduler-plugin-evaluator.mjs'

/** By the default ranking `idc-mate` is the child's best parent, by where the racks stand `rack-mate` is. */
const HOSTS = {
  'idc-mate': { idc: 'east', location: 'eu|zone-1|rack-1' },
  'rack-mate': { idc: 'west', location: 'eu|zone-2|rack-7' },
  child: { idc: 'east', location: 'eu|zone-2|rack-7' },
}
type Name = keyof typeof HOSTS

const CONTENT = { size: 8 * MiB, seed: 'evaluator' }

/** A scheduler that names one parent to each child, and three hosts; every round is about a file of its own. */
async function swarmIn(dir: TempDir, metricsPort: number, scope: Scope) {
  const files = Object.fromEntries(Array.from({ length: 9 }, (_, round) => [`f${round}`, CONTENT]))
  const nginx = scope.own(await startNginx({ files }))
  await mkdir(dir.join('plugins'))
  const scheduler = scope.own(
    await Member.start({
      role: 'scheduler',
      name: 'scheduler',
      workhome: dir.join('scheduler'),
      pluginDirs: [dir.join('plugins')],
      settings: {
        candidateParentLimit: 1,
        metrics: { listen: `127.0.0.1:${metricsPort}` },
        pluginPolicy: { evaluatorTimeout: '10s' }, // on a busy machine, too, it is the evaluator that is seen at work
      },
    }),
  )
  const { schedulerPort } = scheduler.ready
  const start = async (name: Name) =>
    scope.own(
      await Member.start({
        role: 'peer',
        name,
        workhome: dir.join(name),
        schedulerPort,
        settings: { host: HOSTS[name] },
      }),
    )
  const hosts = {
    'idc-mate': await start('idc-mate'),
    'rack-mate': await start('rack-mate'),
    child: await start('child'),
  }
  let rounds = 0
  const get = (name: Name, file: string) =>
    hosts[name].dfget([nginx.url(file), '-O', dir.join(`${name}-${file}`), '--json'])
  return {
    scheduler,
    /** Whom the child fetches from when both others have the file. */
    async parentOfChild(): Promise<string> {
      const file = `f${rounds++}`
      resultOf(await get('idc-mate', file))
      resultOf(await get('rack-mate', file))
      const { bytesByParentHost } = resultOf(await get('child', file))
      await expectFile(dir.join(`child-${file}`), CONTENT)
      return Object.keys(bytesByParentHost).join(' and ')
    },
    warnings: () => scheduler.logLines().filter(({ level }) => level === 'warn'),
    /** Puts an evaluator in the place of the one before, and waits until it ranks. */
    async rankBy(text: string | undefined, built = ''): Promise<void> {
      const before = loads(scheduler)
      const draft = built || dir.join('draft')
      if (text !== undefined) await writeFile(draft, text)
      await rename(draft, join(dir.join('plugins'), FILE))
      await until(() => loads(scheduler) > before, { what: 'the new evaluator ranks' })
    },
  }
}

function loads(member: Member): number {
  return member.logLines().filter(({ msg }) => String(msg).endsWith(' ranks parents')).length
}

function evaluator(evaluate: string): string {
  return `export const DragonflyPluginInit = () => ({
    client: { evaluate: ${evaluate} },
    metadata: { type: 'scheduler', name: 'evaluator' },
  })`
}

// v2.0.2 F2: an evaluator plugin; H: told when it cannot be loaded, plain data, a score that is checked.
test(
  'an evaluator chooses other parents, is swapped while all runs, and nothing it does stops a download',
  STORY,
  async () => {
    await using dir = await tempDir('eval')
    const metricsPort = await freePort()
    await using scope = new Scope()
    const swarm = await swarmIn(dir, metricsPort, scope)
    expect(await swarm.parentOfChild()).toContain('idc-mate')

    expectSuccess(await runProgram('dfget', ['plugin', 'build', EXAMPLE, '--out', dir.join('built')]))
    await swarm.rankBy(undefined, dir.join('built', FILE))
    expect(await swarm.parentOfChild()).toContain('rack-mate')

    await swarm.rankBy(evaluator("(parent) => { throw new Error('out of order') }"))
    expect(await swarm.parentOfChild()).toContain('idc-mate')
    expect(await swarm.parentOfChild()).toContain('idc-mate')
    expect(swarm.warnings().map(({ msg }) => msg)).toEqual([expect.stringContaining('it threw: out of order')])

    for (const deed of ['process.exit(1)', 'while (true);', "process.kill(process.pid, 'SIGKILL')"]) {
      await swarm.rankBy(evaluator(`(parent) => { ${deed} }`))
      expect(await swarm.parentOfChild(), deed).toContain('idc-mate')
    }

    await swarm.rankBy(evaluator("({ host }) => (host.hostname === 'rack-mate' ? 1 : 0)"))
    expect(await swarm.parentOfChild()).toContain('rack-mate')
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
    expect(metrics).toMatch(/^dragonfly_scheduler_evaluator_loaded 1$/m)
    expect(metrics).toMatch(/^dragonfly_scheduler_evaluator_rankings_total\{result="ok"\} [1-9]/m)
    expect(metrics).toMatch(/^dragonfly_scheduler_evaluator_rankings_total\{result="threw"\} [1-9]/m)
    expect(metrics).toMatch(
      /^dragonfly_plugin_calls_total\{scheme="evaluator",method="judgeParents",code="ok"\} [1-9]/m,
    )
  },
)

test('the scheduler inside a daemon has the evaluator too', STORY, async () => {
  await using dir = await tempDir('eval')
  await mkdir(dir.join('plugins'))
  await writeFile(dir.join('plugins', FILE), evaluator('() => 1'))
  const options = {
    role: 'peer',
    name: 'alone',
    workhome: dir.join('alone'),
    pluginDirs: [dir.join('plugins')],
  } as const
  await using daemon = await Member.start(options)
  expect(loads(daemon)).toBe(1)
})

test('a broken evaluator is told, and refuses a strict scheduler its start', STORY, async () => {
  await using dir = await tempDir('eval')
  await writeFile(dir.join(FILE), 'throw new Error("out of order")')
  const options = { role: 'scheduler', name: 's', workhome: dir.join('s'), pluginDirs: [dir.path] } as const
  await using scheduler = await Member.start(options)
  const warnings = scheduler.logLines().filter(({ level }) => level === 'warn')
  expect(warnings.map(({ msg }) => msg)).toEqual([
    expect.stringMatching(/out of order; the scheduler ranks parents itself$/),
  ])

  const strict = ['--workhome', dir.join('t'), '--port', '0', '--plugin-dir', dir.path, '--plugin-policy-strict']
  const ran = await runProgram('scheduler', strict)
  expect(ran.code).not.toBe(0)
  expect(ran.stderr).toMatch(/pluginPolicy\.strict is set, and not every plugin can be used: .*out of order/)
})

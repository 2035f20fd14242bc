import { mkdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Member, type Nginx, programsBuilt, type Role, run, startNginx } from '#devnet'
import { Scope } from '#runtime'
import { forget } from '../download.ts'
import { type Contender, type Course, type Lap, race, type Runner, type Team } from './race.ts'
import type { NetHost } from './shaped-net.ts'

const SCHEDULER_PORT = 8002
const METRICS_PORT = 9100
/** Bytes of pieces that a daemon gave to others. */
const GIVEN = 'dragonfly_dfdaemon_upload_bytes_total'

/**
 * Ours: a scheduler at the hub, a seed beside the origin, and a daemon on every other host, all of them running and
 * idle; a lap begins with one dfget on each, for a file that nobody has yet.
 */
export const dragonfly: Contender = {
  name: 'dragonfly-ts',
  missing: async () => undefined,
  enter: (course) => Swarm.start(course),
}

class Swarm implements Team {
  readonly #course: Course
  readonly #scope = new Scope()
  readonly #peers: Member[] = []
  readonly #members: Member[] = []
  #nginx!: Nginx
  #scheduler!: Member
  #seed!: Member

  private constructor(course: Course) {
    this.#course = course
  }

  static async start(course: Course): Promise<Swarm> {
    await programsBuilt()
    const swarm = new Swarm(course)
    try {
      await swarm.#start()
      return swarm
    } catch (error) {
      await swarm[Symbol.asyncDispose]()
      throw error
    }
  }

  async #start(): Promise<void> {
    const { net, file } = this.#course
    const [first, ...others] = net.hosts
    if (first === undefined) throw new Error('a net without hosts')
    const { address, within } = first
    // The seed reads it over its own loopback: the way to its own address never reaches the link.
    this.#nginx = this.#scope.own(await startNginx({ root: dirname(file.path), address, within }))
    this.#scheduler = await this.#member('scheduler', 'scheduler', net.hub)
    this.#seed = await this.#member('seed', 'seed', first)
    for (const [index, host] of others.entries())
      this.#peers.push(await this.#member('peer', `peer-${index + 1}`, host))
  }

  async #member(role: Role, name: string, { address, within }: NetHost): Promise<Member> {
    const { dir, net, profiles } = this.#course
    const own = role === 'scheduler' ? { port: SCHEDULER_PORT } : ofDaemon(name, address, net.hub.address)
    const verbose = this.#course.logs !== undefined
    const settings = { listen: address, verbose, metrics: { listen: `${address}:${METRICS_PORT}` }, ...own }
    const nodeFlags = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profiles, name)}`]
    const options = { role, name, workhome: join(dir, name), within, settings, nodeFlags }
    const member = this.#scope.own(await Member.start(options))
    this.#members.push(member)
    return member
  }

  async lap(number: number): Promise<Lap> {
    const url = this.#nginx.url(basename(this.#course.file.path))
    const watched = {
      seed: [this.#seed.pid],
      peers: this.#peers.map(({ pid }) => pid),
      other: [this.#scheduler.pid, this.#nginx.pid],
    }
    const originBefore = await this.#nginx.bytesSent()
    const givenBefore = await this.#given()
    const taskIds = new Set<string>()
    const lap = await race(this.#course, watched, async (_host, index): Promise<Runner> => {
      const peer = this.#peers[index]
      if (peer === undefined) throw new Error(`there is no peer ${index}`)
      const output = join(this.#course.dir, `out-${index}`)
      const child = this.#scope.own(await peer.startDfget([url, '-O', output, '--tag', `lap ${number}`, '--json']))
      const finished = child.exited.then(({ code }) => {
        if (code !== 0) throw new Error(`dfget on ${peer.name}: exit ${code}: ${child.stdout()}${child.stderr()}`)
        taskIds.add((JSON.parse(child.stdout()) as { taskId: string }).taskId)
      })
      return { output, pids: [], finished }
    })
    const originBytes = (await this.#nginx.bytesSent()) - originBefore
    const seedGaveBytes = (await this.#given()) - givenBefore
    for (const taskId of taskIds) for (const member of [this.#seed, ...this.#peers]) await forget(member, taskId)
    return { ...lap, originBytes, seedGaveBytes }
  }

  /** What the seed says it gave to children so far. */
  async #given(): Promise<number> {
    const { net } = this.#course
    const url = `http://${net.hosts[0]?.address}:${METRICS_PORT}/metrics`
    const { stdout } = await run('curl', ['-s', url], { within: net.hub.within, timeoutMs: 10_000 })
    return Number(new RegExp(`^${GIVEN} (\\S+)$`, 'm').exec(stdout)?.[1] ?? 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]()
    const { logs } = this.#course
    if (logs === undefined) return
    await mkdir(logs, { recursive: true })
    for (const member of this.#members) await writeFile(join(logs, `${member.name}.log`), member.log())
  }
}

function ofDaemon(hostname: string, ip: string, schedulerAddress: string): Readonly<Record<string, unknown>> {
  return { host: { ip, hostname }, scheduler: { addrs: [`${schedulerAddress}:${SCHEDULER_PORT}`] } }
}

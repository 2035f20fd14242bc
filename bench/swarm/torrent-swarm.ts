import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { repository, type RunningProcess, run, spawnNode, until } from '#devnet'
import { Scope } from '#runtime'
import { type Contender, type Course, type Lap, marked, race } from './race.ts'
import type { NetHost } from './shaped-net.ts'
import { writeTorrent } from './torrent.ts'

const TRACKER_PORT = 6969
/** Files beside the sources of the benchmark. */
export const SWARM_DIR = join(repository, 'bench', 'swarm')

/** How a client of BitTorrent is started on one host. */
export interface TorrentClient {
  readonly name: string
  /** The piece that suits it best, of those tried (README). */
  readonly pieceBytes: number
  missing(): Promise<string | undefined>
  /** Starts it with an empty directory `home` of its own; it has to write `marker` when it has the file. */
  start(place: ClientPlace): Promise<RunningProcess>
}

export interface ClientPlace {
  readonly host: NetHost
  readonly torrent: string
  /** Where the file is, or has to be. */
  readonly files: string
  readonly home: string
  readonly marker: string
  /** Has all of it, and need not look again. */
  readonly seeding: boolean
}

/**
 * A seeder that has the file and is known to the tracker, and a client on every other host: a lap begins with their
 * start, and those that have the file go on giving until the last one has it.
 */
export function torrentContender(client: TorrentClient): Contender {
  return {
    name: client.name,
    missing: () => client.missing(),
    enter: async (course) => ({
      lap: (number) => lap(client, course, number),
      [Symbol.asyncDispose]: async () => undefined,
    }),
  }
}

async function lap(client: TorrentClient, course: Course, number: number): Promise<Lap> {
  const dir = join(course.dir, `${client.name.replaceAll(/\W/g, '-')}-${number}`)
  await using scope = new Scope()
  const { file, net } = course
  const [seedHost] = net.hosts
  if (seedHost === undefined) throw new Error('a net without hosts')
  const torrent = join(course.dir, `${client.pieceBytes}.torrent`)
  const announce = `http://${net.hub.address}:${TRACKER_PORT}/announce`
  if (!existsSync(torrent)) await writeTorrent({ file: file.path, pieceBytes: client.pieceBytes, announce, torrent })

  const tracker = scope.own(await startTracker(net.hub))
  const enter = async (host: NetHost, name: string, files: string, seeding: boolean) => {
    const home = join(dir, name)
    const marker = join(home, 'done')
    await mkdir(home, { recursive: true })
    await mkdir(files, { recursive: true })
    return { child: scope.own(await client.start({ host, torrent, files, home, marker, seeding })), marker }
  }
  const seed = await enter(seedHost, 'seed', dirname(file.path), true)
  await until(() => tracker.stdout().includes(seedHost.address), {
    what: `the seed of ${client.name} to announce itself`,
  })
  const done = await race(course, { seed: [seed.child.pid], other: [tracker.pid] }, async (host, index) => {
    const files = join(dir, `peer-${index}`, 'files')
    const { child, marker } = await enter(host, `peer-${index}`, files, false)
    const finished = marked(child, marker, course.timeoutMs)
    return { output: join(files, basename(file.path)), pids: [child.pid], finished }
  })
  return done
}

function startTracker({ address, within }: NetHost): Promise<RunningProcess> {
  const args = [join(SWARM_DIR, 'tracker.mjs'), address, String(TRACKER_PORT)]
  return spawnNode({ args, within, readyWhen: ({ stdout }) => stdout.includes('ready') })
}

/** What to say of a program that does not run here; undefined when it does. */
export async function missingProgram(
  command: string,
  args: readonly string[],
  help: string,
): Promise<string | undefined> {
  const ran = await run(command, args, { timeoutMs: 20_000 }).catch(() => undefined)
  return ran?.code === 0 ? undefined : help
}

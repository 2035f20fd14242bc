import { readFileSync } from 'node:fs'
import { endProcesses, type RunningProcess, run, spawnNode } from '#devnet'

/** A host of the net: a network namespace, in which programs are run by putting `within` before them. */
export interface NetHost {
  readonly namespace: string
  readonly address: string
  readonly within: readonly string[]
}

export interface ShapedNetOptions {
  readonly hosts: number
  /** Of each link, each way; what a link carries counts with all headers. */
  readonly bitsPerSecond: number
  /** How TCP between the hosts controls congestion, whatever this machine does otherwise. */
  readonly congestion: string
}

/**
 * Bytes that a host has sent and received over its link, as the switch counts them: next to no headers, for it counts
 * the packets of one send together.
 */
export interface LinkBytes {
  readonly sent: number
  readonly received: number
}

const PREFIX = 'dfb'
const SUBNET = '10.213'
/** What may wait before a link: 10 ms at 200 Mbit/s, about what a small switch has. */
const QUEUE_BYTES = 256 * 1024
/** What may leave at once after a pause. One packet of segmentation offload is 64 KiB. */
const BURST_BYTES = 64 * 1024
const COMMAND_TIMEOUT_MS = 20_000

/**
 * Hosts around one switch, each in a network namespace of its own behind a link that is shaped both ways; beside them
 * the hub, which sits in the switch and has no limit. Nothing of the machine's own network is touched.
 */
export class ShapedNet implements AsyncDisposable {
  readonly hub: NetHost
  readonly hosts: readonly NetHost[]
  readonly bytesPerSecond: number
  readonly #congestion: string
  /** Any process in the hub: what its /proc says of the network is what the hub sees. */
  #watchman: RunningProcess | undefined

  private constructor(names: string, { hosts, bitsPerSecond, congestion }: ShapedNetOptions) {
    this.hub = netHost(`${names}-hub`, `${SUBNET}.255.1`)
    this.hosts = Array.from({ length: hosts }, (_, index) => netHost(`${names}-${index}`, `${SUBNET}.0.${index + 1}`))
    this.bytesPerSecond = bitsPerSecond / 8
    this.#congestion = congestion
  }

  static async create(options: ShapedNetOptions): Promise<ShapedNet> {
    await sweep()
    const net = new ShapedNet(`${PREFIX}${process.pid}`, options)
    try {
      await net.#build()
      return net
    } catch (error) {
      await net[Symbol.asyncDispose]()
      throw error
    }
  }

  async #build(): Promise<void> {
    const { hub } = this
    const toAll = ['route', 'replace', `${SUBNET}.0.0/16`, 'dev', 'eth0']
    await addNamespace(hub)
    await ip(hub, 'link', 'add', 'sw', 'type', 'bridge')
    await ip(hub, 'addr', 'add', `${hub.address}/16`, 'dev', 'sw')
    await ip(hub, 'link', 'set', 'sw', 'up')
    for (const [index, host] of this.hosts.entries()) {
      const port = `port${index}`
      await addNamespace(host)
      await ip(hub, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.namespace)
      await ip(hub, 'link', 'set', port, 'master', 'sw', 'up')
      await ip(host, 'addr', 'add', `${host.address}/16`, 'dev', 'eth0')
      await ip(host, 'link', 'set', 'eth0', 'up')
      await ip(host, ...toAll, 'src', host.address, 'congctl', this.#congestion)
      await shape(hub, port, this.bytesPerSecond)
      await shape(host, 'eth0', this.bytesPerSecond)
    }
    this.#watchman = await spawnNode({ command: 'sleep', args: ['infinity'], within: hub.within })
  }

  /** What the link of each host has carried so far, in their order. */
  linkBytes(): LinkBytes[] {
    const text = readFileSync(`/proc/${this.#watchman?.pid ?? ''}/net/dev`, 'utf8')
    const counts = new Map(
      text.split('\n').map((line) => {
        const [device = '', ...numbers] = line.trim().split(/[\s:]+/)
        return [device, numbers.map(Number)]
      }),
    )
    return this.hosts.map((_, index) => {
      // What a port of the switch receives is what the host behind it has sent.
      const [sent = 0, , , , , , , , received = 0] = counts.get(`port${index}`) ?? []
      return { sent, received }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { namespace } of [...this.hosts, this.hub]) await removeNamespace(namespace)
  }
}

/** Why such a net cannot be made on this machine, in one line; undefined where it can. */
export async function whyNoShapedNet(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces are a matter of Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root: run it with sudo'
  const probe = `${PREFIX}${process.pid}-probe`
  try {
    await command('tc', ['-V'])
    await command('ip', ['netns', 'add', probe])
    await command('tc', ['-n', probe, 'qdisc', 'add', 'dev', 'lo', 'root', 'handle', '1:', 'htb'])
    return undefined
  } catch (error) {
    return `this machine makes no shaped net (iproute2, ip netns and the qdisc htb are needed): ${(error as Error).message}`
  } finally {
    await removeNamespace(probe)
  }
}

function netHost(namespace: string, address: string): NetHost {
  return { namespace, address, within: ['ip', 'netns', 'exec', namespace] }
}

async function addNamespace(host: NetHost): Promise<void> {
  await command('ip', ['netns', 'add', host.namespace])
  await ip(host, 'link', 'set', 'lo', 'up')
}

/** Whatever leaves by this device, at this rate. */
async function shape(host: NetHost, device: string, bytesPerSecond: number): Promise<void> {
  const tc = (words: string): Promise<string> => command('tc', ['-n', host.namespace, ...words.split(' ')])
  const rate = `rate ${bytesPerSecond * 8}bit burst ${BURST_BYTES}b cburst ${BURST_BYTES}b quantum ${BURST_BYTES}`
  await tc(`qdisc add dev ${device} root handle 1: htb default 1`)
  await tc(`class add dev ${device} parent 1: classid 1:1 htb ${rate}`)
  await tc(`qdisc add dev ${device} parent 1:1 bfifo limit ${QUEUE_BYTES}b`)
}

/** A namespace goes with the processes in it: all of them were started by this benchmark. */
async function removeNamespace(namespace: string): Promise<void> {
  const pids = async (): Promise<number[]> => {
    const listed = await run('ip', ['netns', 'pids', namespace], { timeoutMs: COMMAND_TIMEOUT_MS })
    return listed.stdout.split('\n').filter(Boolean).map(Number)
  }
  await endProcesses(await pids(), 'SIGKILL').catch(() => undefined)
  await run('ip', ['netns', 'del', namespace], { timeoutMs: COMMAND_TIMEOUT_MS }).catch(() => undefined)
}

/** Takes away what a benchmark left that was killed. */
async function sweep(): Promise<void> {
  const listed = await command('ip', ['netns', 'list'])
  for (const name of listed.split('\n').map((line) => line.split(' ')[0] ?? '')) {
    const owner = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
    if (owner !== undefined && !isAlive(Number(owner))) await removeNamespace(name)
  }
}

/** Whether a process of this id runs. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function ip(host: NetHost, ...words: readonly string[]): Promise<string> {
  return command('ip', ['-n', host.namespace, ...words])
}

async function command(name: string, args: readonly string[]): Promise<string> {
  const ran = await run(name, args, { timeoutMs: COMMAND_TIMEOUT_MS })
  if (ran.code !== 0) throw new Error(`${name} ${args.join(' ')}: ${ran.stderr.trim()}`)
  return ran.stdout
}

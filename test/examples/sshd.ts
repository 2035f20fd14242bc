import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Content,
  endProcesses,
  freePort,
  type RunningProcess,
  run,
  spawnNode,
  tempDir,
  writeContent,
} from '#devnet'

const SSHD = '/usr/sbin/sshd'
/** Where sshd goes while it does not trust who connects yet. Debian's service makes it. */
const PRIVILEGE_DIR = '/run/sshd'
const SFTP_SERVER = '/usr/lib/openssh/sftp-server'

/** Debian's OpenSSH server, an ordinary process on a free port of 127.0.0.1. */
export interface Sshd extends AsyncDisposable {
  readonly port: number
  /** The directory of its files. */
  readonly root: string
  /** Who may log in: the one who runs this test. */
  readonly user: string
  /** Text of the private key that it lets in. */
  readonly privateKey: string
  /** Where it lies. */
  readonly keyFile: string
  /** The same key behind a passphrase. */
  readonly lockedKey: { readonly text: string; readonly passphrase: string }
  /** Fingerprint of its host key. */
  readonly hostKey: string
  url(name: string): string
  put(name: string, content: Content): Promise<void>
  /** Kills it with every connection it has. */
  kill(): Promise<void>
  /** The same server again, on the same port. */
  restart(): Promise<void>
  /** Logins so far. */
  logins(): number
  /** Connections that are open. */
  sessions(): number
  /** Bytes of files that were asked of it, those of connections that were killed included. */
  bytesRead(): number
  log(): string
}

export interface SshdOptions {
  /** Requests of SFTP that are refused, with commas between. */
  readonly denied?: string
}

export async function startSshd(
  files: Readonly<Record<string, Content>> = {},
  options: SshdOptions = {},
): Promise<Sshd> {
  if (!existsSync(SSHD)) throw new Error(`${SSHD} is missing: run  apt-get install -y openssh-server`)
  if (process.getuid?.() === 0) mkdirSync(PRIVILEGE_DIR, { recursive: true, mode: 0o755 })
  const home = await tempDir('sshd')
  const passphrase = 'correct horse'
  await keyPair(home.join('host'))
  await keyPair(home.join('user'))
  await keyPair(home.join('locked'), passphrase)
  const text = (name: string): string => readFileSync(home.join(name), 'utf8')
  await writeFile(home.join('authorized_keys'), text('user.pub') + text('locked.pub'))
  await mkdir(home.join('files'))
  const root = home.join('files')
  for (const [name, content] of Object.entries(files)) await writeContent(`${root}/${name}`, content)

  let server = await startOnFreePort(home.path, options)
  let earlierLog = ''
  const { port } = server
  const log = (): string => earlierLog + server.child.stderr()
  const sftpLog = (): string => (existsSync(home.join('sftp.log')) ? text('sftp.log') : '')
  const kill = async (): Promise<void> => {
    const all = [server.child.pid, ...descendants(server.child.pid)]
    await endProcesses(all, 'SIGKILL')
  }
  return {
    port,
    root,
    user: userInfo().username,
    privateKey: text('user'),
    keyFile: home.join('user'),
    lockedKey: { text: text('locked'), passphrase },
    hostKey: await fingerprint(home.join('host.pub')),
    url: (name) => `sftp://127.0.0.1:${port}${root}/${name}`,
    put: (name, content) => writeContent(`${root}/${name}`, content),
    kill,
    async restart() {
      earlierLog = log()
      server = { port, child: await start(home.path, port, options) }
    },
    logins: () => log().match(/Accepted \S+ for/g)?.length ?? 0,
    sessions: () => descendants(server.child.pid).length,
    bytesRead: () => [...sftpLog().matchAll(/: read .* len (\d+)/g)].reduce((sum, [, bytes]) => sum + Number(bytes), 0),
    log,
    async [Symbol.asyncDispose]() {
      await kill()
      await home[Symbol.asyncDispose]()
    },
  }
}

async function keyPair(path: string, passphrase = ''): Promise<void> {
  const { code, stderr } = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', '', '-f', path])
  if (code !== 0) throw new Error(`ssh-keygen failed: ${stderr}`)
}

export async function fingerprint(path: string): Promise<string> {
  const { stdout } = await run('ssh-keygen', ['-lf', path])
  const [, found = ''] = stdout.split(' ')
  return found
}

async function startOnFreePort(home: string, options: SshdOptions): Promise<{ child: RunningProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      return { port, child: await start(home, port, options) }
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

async function start(home: string, port: number, options: SshdOptions): Promise<RunningProcess> {
  await writeFile(`${home}/sshd_config`, configuration(home, port, options))
  const child = await spawnNode({ command: SSHD, args: ['-D', '-e', '-f', `${home}/sshd_config`] })
  for (let attempt = 0; attempt < 500 && child.running; attempt++) {
    if (child.stderr().includes(`Server listening on 127.0.0.1 port ${port}`) && (await listens(port))) return child
    await sleep(10)
  }
  await child[Symbol.asyncDispose]()
  throw new Error(`sshd did not start: ${child.stderr()}`)
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true))
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy())
  })
}

function configuration(home: string, port: number, { denied }: SshdOptions): string {
  return `
ListenAddress 127.0.0.1:${port}
HostKey ${home}/host
PidFile none
AuthorizedKeysFile ${home}/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
MaxStartups 100
LogLevel VERBOSE
Subsystem sftp ${SFTP_SERVER} -e -l DEBUG1${denied === undefined ? '' : ` -P ${denied}`} 2>>${home}/sftp.log
`
}

/** Those that it forked for its connections; each has left its process group. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name)) parents.set(Number(name), parentOf(name))
  }
  const below = (of: number): number[] =>
    [...parents].filter(([, parent]) => parent === of).flatMap(([child]) => [child, ...below(child)])
  return below(pid)
}

function parentOf(pid: string): number {
  try {
    return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

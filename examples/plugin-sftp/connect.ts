import { createHash, timingSafeEqual } from 'node:crypto'
import { connect as connectSocket, type Socket } from 'node:net'
import { SourceError } from 'dragonfly-ts/source'
import ssh2 from 'ssh2'
import type { AuthenticationType, Client, ConnectConfig, SFTPWrapper } from 'ssh2'
import type { Address } from './address.ts'
import { connectError } from './sftp-error.ts'

/** A login that succeeded. */
export interface Connection {
  readonly ssh: Client
  readonly sftp: SFTPWrapper
  readonly socket: Socket
}

const KEEPALIVE_MS = 10_000

/** Connects, checks who answers, logs in and starts SFTP. Fails with `source.unreachable` or `source.denied`. */
export async function connect(address: Address): Promise<Connection> {
  const { host, port, user, connectMs } = address
  const socket = connectSocket({ host, port, noDelay: true })
  const ssh = new ssh2.Client()
  /** Why the host key was refused; ssh2 itself only says that it was. */
  let distrust: SourceError | undefined
  try {
    const sftp = await inTime(connectMs, async (failed) => {
      socket.once('error', failed)
      ssh.on('error', failed)
      ssh.once('close', () => failed(new Error('the server hung up')))
      await new Promise<void>((resolve) => socket.once('connect', resolve))
      const hostVerifier = (key: Buffer): boolean => {
        distrust = checkHostKey(key, address)
        return distrust === undefined
      }
      return logIn(ssh, { ...credentials(address), sock: socket, hostVerifier })
    })
    return { ssh, sftp, socket }
  } catch (error) {
    ssh.on('error', () => undefined) // it may complain once more of being ended
    ssh.destroy()
    socket.destroy()
    throw distrust ?? connectError(error, `${user}@${host}:${port}`)
  }
}

/** Ended by whichever comes first: the work, `failed`, or the time. */
function inTime<T>(ms: number, work: (failed: (error: Error) => void) => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms)
    work(reject)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}

function logIn(ssh: Client, config: ConnectConfig): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    // Many servers take passwords in this way alone. What would be shown on a screen is not the password.
    ssh.on('keyboard-interactive', (_name, _text, _language, prompts, finish) =>
      finish(prompts.map(({ echo }) => (echo === true ? '' : (config.password ?? '')))),
    )
    ssh.once('ready', () => ssh.sftp((error, sftp) => (error === undefined ? resolve(sftp) : reject(error))))
    ssh.connect(config)
  })
}

function credentials({ user, password, privateKey, passphrase }: Address): ConnectConfig {
  const ways: AuthenticationType[] = []
  if (privateKey !== undefined) ways.push('publickey')
  if (password !== undefined) ways.push('password', 'keyboard-interactive')
  return {
    username: user,
    ...(password === undefined ? {} : { password, tryKeyboard: true }),
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(passphrase === undefined ? {} : { passphrase }),
    authHandler: ways.length === 0 ? ['none'] : ways,
    keepaliveInterval: KEEPALIVE_MS,
    readyTimeout: 0, // the whole has its time
  }
}

/** Undefined for a host key that counts. */
function checkHostKey(key: Buffer, address: Address): SourceError | undefined {
  const { hostKeys, acceptAnyHostKey, host, port } = address
  const found = `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=$/, '')}`
  if (acceptAnyHostKey || hostKeys.some((expected) => same(expected, found))) return undefined
  const where = `${host}:${port} shows the host key ${found}`
  const advice =
    hostKeys.length === 0
      ? `, and none is known: compare it on the server (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then set plugins.sftp.hosts.${host}.hostKey`
      : `, expected ${hostKeys.join(' or ')}: somebody else may have answered`
  return new SourceError('source.denied', `${where}${advice}`)
}

function same(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
}

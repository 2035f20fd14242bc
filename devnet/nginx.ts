import { existsSync } from 'node:fs'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Content, writeContent } from './content.ts'
import { type RunningProcess, spawnNode } from './process.ts'
import { type TempDir, tempDir } from './temp.ts'
import { freePort } from './wait.ts'

export const NGINX = '/usr/sbin/nginx'

/** Ways to serve the same files: each is a prefix of the path. */
const MANNERS = {
  /** Ranges are ignored: 200 and the whole file. */
  'no-range': 'max_ranges 0;',
  /** Compressed for those who accept it: chunked, weak ETag, no length. */
  gzip: 'gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;',
  /** Chunked: no length, no ranges, no ETag. (A filter that changes nothing takes them away.) */
  chunked: "sub_filter 'never found in a file of a test' ''; sub_filter_types *;",
  /** Basic auth with AUTH_USER and AUTH_PASSWORD. */
  auth: 'auth_basic devnet; auth_basic_user_file htpasswd;',
  /** Each connection at `limitRate`. */
  slow: '',
  /** 302 to the plain path of the same name. */
  redirect: 'rewrite ^/redirect/(.*)$ /$1 redirect;',
} as const

export type Manner = keyof typeof MANNERS
export const AUTH_USER = 'alice'
export const AUTH_PASSWORD = 'secret'

export interface NginxOptions {
  readonly files?: Readonly<Record<string, Content>>
  /** Serve this directory instead of one of its own. */
  readonly root?: string
  /** Bytes per second of each connection under /slow/, as nginx writes it (1m). */
  readonly limitRate?: string
  /** Lines for the server block. */
  readonly server?: string
}

export interface AccessLogEntry {
  readonly path: string
  readonly method: string
  readonly status: number
  /** Bytes of the body that were sent. */
  readonly bytes: number
  /** The Range header, empty without one. */
  readonly range: string
  readonly authorization: string
  readonly userAgent: string
}

export interface Nginx extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  /** The directory that is served. */
  readonly root: string
  url(name: string, manner?: Manner): string
  /** Writes or replaces a file. */
  put(name: string, content: Content): Promise<void>
  /** What was asked, once no more is being written. */
  accessLog(): Promise<AccessLogEntry[]>
  /** Bytes of bodies sent, over all requests. */
  bytesSent(): Promise<number>
}

/** A real nginx of its own on a free port of 127.0.0.1, in the foreground, one process. */
export async function startNginx(options: NginxOptions = {}): Promise<Nginx> {
  if (!existsSync(NGINX)) throw new Error(`${NGINX} is missing: run  apt-get install -y nginx-light`)
  const home = await tempDir('nginx')
  try {
    return await startIn(home, options)
  } catch (error) {
    await home[Symbol.asyncDispose]()
    throw error
  }
}

async function startIn(home: TempDir, options: NginxOptions): Promise<Nginx> {
  const root = options.root ?? home.join('root')
  await mkdir(root, { recursive: true })
  await writeFile(home.join('htpasswd'), `${AUTH_USER}:{PLAIN}${AUTH_PASSWORD}\n`)
  for (const manner of Object.keys(MANNERS)) await symlink('.', join(root, manner)).catch(ignoreExisting)
  for (const [name, content] of Object.entries(options.files ?? {})) await putFile(root, name, content)

  const { server, port } = await startOnFreePort(home.path, root, options)
  const accessLog = () => readAccessLog(home.join('access.log'))
  return {
    port,
    pid: server.pid,
    root,
    url: (name, manner) => `http://127.0.0.1:${port}/${manner === undefined ? '' : `${manner}/`}${name}`,
    put: (name, content) => putFile(root, name, content),
    accessLog,
    bytesSent: async () => (await accessLog()).reduce((sum, entry) => sum + entry.bytes, 0),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      await home[Symbol.asyncDispose]()
    },
  }
}

async function startOnFreePort(
  home: string,
  root: string,
  options: NginxOptions,
): Promise<{ server: RunningProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    await writeFile(join(home, 'nginx.conf'), configuration(home, root, port, options))
    const server = await spawnNode({ command: NGINX, args: ['-p', home, '-e', 'error.log', '-c', 'nginx.conf'] })
    if (await listens(server, port)) return { server, port }
    await server[Symbol.asyncDispose]()
    if (attempt === 5) throw new Error(`nginx did not start: ${server.stderr()}`)
  }
}

/** False when the process ended, as it does when somebody else took the port. */
async function listens(server: RunningProcess, port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 500 && server.running; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true))
      socket.once('error', () => resolve(false)).once('connect', () => socket.destroy())
    })
    // A clash shows itself within nginx's five tries to bind; who answers until then is the other one.
    if (open) return sleep(30).then(() => server.running && !server.stderr().includes('bind()'))
    await sleep(10)
  }
  return false
}

function configuration(home: string, root: string, port: number, options: NginxOptions): string {
  const locations = Object.entries({ ...MANNERS, slow: `limit_rate ${options.limitRate ?? '1m'};` })
  return `
daemon off;
master_process off;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 512; }
http {
  client_body_temp_path ${home}; proxy_temp_path ${home}; fastcgi_temp_path ${home};
  uwsgi_temp_path ${home}; scgi_temp_path ${home};
  log_format devnet escape=json '{"path":"$request_uri","method":"$request_method","status":$status,'
    '"bytes":$body_bytes_sent,"range":"$http_range","authorization":"$http_authorization",'
    '"userAgent":"$http_user_agent"}';
  access_log access.log devnet;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 30s;
  server {
    listen 127.0.0.1:${port};
    root ${root};
    ${options.server ?? ''}
${locations.map(([name, lines]) => `    location /${name}/ { ${lines} }`).join('\n')}
  }
}
`
}

async function putFile(root: string, name: string, content: Content): Promise<void> {
  await mkdir(dirname(join(root, name)), { recursive: true })
  await writeContent(join(root, name), content)
}

/** nginx writes a line once the answer is out: what was read is right when it did not grow for a moment. */
async function readAccessLog(path: string): Promise<AccessLogEntry[]> {
  for (let before = ''; ; ) {
    const now = await readFile(path, 'utf8').catch(() => '')
    if (now === before && now !== '') return parseLog(now)
    if (now === '' && before === '') {
      await sleep(100)
      return parseLog(await readFile(path, 'utf8').catch(() => ''))
    }
    before = now
    await sleep(100)
  }
}

function parseLog(text: string): AccessLogEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AccessLogEntry)
}

function ignoreExisting(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
}

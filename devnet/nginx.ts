import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Content, writeContent } from './content.ts'
import { type RunningProcess, run, spawnNode } from './process.ts'
import { type TempDir, tempDir } from './temp.ts'
import { freePort, until } from './wait.ts'

export const NGINX = '/usr/sbin/nginx'
const STATUS_PATH = '/.status'

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
  /** Address to listen at (127.0.0.1). */
  readonly address?: string
  /** Words that run it elsewhere: `ip netns exec NAME`. */
  readonly within?: readonly string[] | undefined
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
  /** What was asked, once it answers nobody any more. */
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
  const { address = '127.0.0.1' } = options
  const accessLog = async (): Promise<AccessLogEntry[]> => {
    await until(() => isQuiet(address, port, options.within), {
      what: `nginx at port ${port} to have answered everything`,
    })
    return parseLog(await readFile(home.join('access.log'), 'utf8'))
  }
  return {
    port,
    pid: server.pid,
    root,
    url: (name, manner) => `http://${address}:${port}/${manner === undefined ? '' : `${manner}/`}${name}`,
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
    const args = ['-p', home, '-e', 'error.log', '-c', 'nginx.conf']
    await writeFile(join(home, 'nginx.conf'), configuration(home, root, port, options))
    const server = await spawnNode({ command: NGINX, args, within: options.within })
    if (await listens(server, home)) return { server, port }
    await server[Symbol.asyncDispose]()
    if (attempt === 5) throw new Error(`nginx did not start: ${server.stderr()}`)
  }
}

/** Waits for the file with its id, which it writes when it listens. False when it ended, as when the port is taken. */
async function listens(server: RunningProcess, home: string): Promise<boolean> {
  const written = () => existsSync(join(home, 'nginx.pid')) && readFileSync(join(home, 'nginx.pid'), 'utf8') !== ''
  return until(() => written() || !server.running, { everyMs: 5, what: 'nginx to listen' }).then(() => server.running)
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
    listen ${options.address ?? '127.0.0.1'}:${port};
    root ${root};
    ${options.server ?? ''}
    location = ${STATUS_PATH} { stub_status; access_log off; }
${locations.map(([name, lines]) => `    location /${name}/ { ${lines} }`).join('\n')}
  }
}
`
}

async function putFile(root: string, name: string, content: Content): Promise<void> {
  await mkdir(dirname(join(root, name)), { recursive: true })
  await writeContent(join(root, name), content)
}

/** Whether it is writing no answer but this one: the lines of all others stand in the log then. */
async function isQuiet(address: string, port: number, within?: readonly string[]): Promise<boolean> {
  const url = `http://${address}:${port}${STATUS_PATH}`
  const status =
    within === undefined ? await (await fetch(url)).text() : (await run('curl', ['-s', url], { within })).stdout
  return /^Reading: 0 Writing: 1 /m.test(status)
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

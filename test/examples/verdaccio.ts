import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { freePort, type Ran, type RunningProcess, run, spawnNode, type TempDir, tempDir } from '#devnet'

const ROOT = join(import.meta.dirname, '../..')
/** The newest that runs on Node 20. */
const VERSION = '6.1.2'
/** Kept between runs, beside what npm has installed for us. */
const HOME = join(ROOT, `node_modules/.cache/verdaccio-${VERSION}`)
const PROGRAM = 'node_modules/verdaccio/bin/verdaccio'
const WHO = 'ada'
const INSTALL_MS = 300_000

/** A real npm registry on a free port of 127.0.0.1, which asks no other one. */
export interface Verdaccio extends AsyncDisposable {
  /** Host and port. */
  readonly host: string
  /** Lets its owner publish, and read what starts with `private-`. */
  readonly token: string
  /** Publishes a package with these files, by npm itself. */
  publish(name: string, version: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void>
  /** The tarball as it lies on the registry's disk. */
  tarball(name: string, version: string): Promise<Buffer>
  /** Puts other bytes there, and leaves what the registry says of them. */
  tamper(name: string, version: string, bytes: Uint8Array): Promise<void>
  /** Answers with bytes so far, to GETs of a path that ends so. */
  reads(end: string): number
}

export async function startVerdaccio(): Promise<Verdaccio> {
  await install()
  const home = await tempDir('npm')
  try {
    return await startIn(home)
  } catch (error) {
    await home[Symbol.asyncDispose]()
    throw error
  }
}

/** Installed on demand, from the registry that this machine has. */
async function install(): Promise<void> {
  if (existsSync(join(HOME, PROGRAM))) return
  const draft = `${HOME}.${process.pid}`
  await mkdir(draft, { recursive: true })
  // A tag of node-fetch that one of its parts asks for is not in every registry.
  const manifest = { private: true, dependencies: { verdaccio: VERSION }, overrides: { 'node-fetch': '2.7.0' } }
  await writeFile(join(draft, 'package.json'), JSON.stringify(manifest))
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  const { code, stderr } = await run('npm', ['install', ...options], { cwd: draft, timeoutMs: INSTALL_MS })
  if (code !== 0) throw new Error(`verdaccio cannot be installed: ${stderr}`)
  await rename(draft, HOME).catch(() => rm(draft, { recursive: true, force: true })) // another test was quicker
}

async function startIn(home: TempDir): Promise<Verdaccio> {
  const { server, port } = await startOnFreePort(home)
  const host = `127.0.0.1:${port}`
  try {
    const token = await addUser(`http://${host}`)
    await writeFile(home.join('npmrc'), `//${host}/:_authToken=${token}\nregistry=http://${host}/\n`)
    const stored = (name: string, version: string): string =>
      home.join('storage', name, `${name.replace(/.*\//, '')}-${version}.tgz`)
    return {
      host,
      token,
      publish: (name, version, files) => publish(home, name, version, files),
      tarball: (name, version) => readFile(stored(name, version)),
      tamper: (name, version, bytes) => writeFile(stored(name, version), bytes),
      reads: (end) =>
        answersIn(server.stdout()).filter(({ method, url }) => method === 'GET' && url.endsWith(end)).length,
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]()
        await home[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

async function startOnFreePort(home: TempDir): Promise<{ server: RunningProcess; port: number }> {
  await writeFile(home.join('config.yaml'), configuration(home.path))
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      const server = await spawnNode({
        args: [join(HOME, PROGRAM), '--config', home.join('config.yaml'), '--listen', `127.0.0.1:${port}`],
        cwd: home.path,
        readyWhen: ({ stdout }) => stdout.includes(`http address`),
        readyTimeoutMs: 60_000,
      })
      return { server, port }
    } catch (error) {
      if (attempt === 3) throw error
    }
  }
}

function configuration(home: string): string {
  return `
storage: ${home}/storage
auth: { htpasswd: { file: ${home}/htpasswd, max_users: 10 } }
uplinks: {}
packages:
  'private-*': { access: $authenticated, publish: $authenticated }
  '**': { access: $all, publish: $authenticated }
max_body_size: 100mb
web: { enable: false }
log: { type: stdout, format: json, level: http }
`
}

async function addUser(registry: string): Promise<string> {
  const response = await fetch(`${registry}/-/user/org.couchdb.user:${WHO}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: WHO, password: 'correct horse' }),
  })
  const { token } = (await response.json()) as { token?: string }
  if (token === undefined) throw new Error(`verdaccio made no user: ${response.status}`)
  return token
}

async function publish(
  home: TempDir,
  name: string,
  version: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  const dir = home.join('packages', name, version)
  for (const [path, content] of Object.entries({ 'package.json': JSON.stringify({ name, version }), ...files })) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), content)
  }
  const ran = await npm(
    home,
    ['publish', '--access=public', '--tag=latest', '--ignore-scripts', '--no-update-notifier', '--loglevel=error'],
    dir,
  )
  if (ran.code !== 0) throw new Error(`npm publish failed: ${ran.stderr}`)
}

/** Knows this registry alone, whatever the machine's settings say. */
function npm(home: TempDir, args: readonly string[], cwd: string): Promise<Ran> {
  const env = {
    npm_config_userconfig: home.join('npmrc'),
    npm_config_cache: home.join('cache'),
    npm_config_registry: undefined,
  }
  return run('npm', args, { cwd, env })
}

/** Each request is noted when it comes, and again with its bytes when it was answered. */
function answersIn(log: string): { method: string; url: string }[] {
  return log.split('\n').flatMap((line) => {
    if (!line.includes('"request"')) return []
    const { request, bytes } = JSON.parse(line) as Noted
    return request !== undefined && (bytes?.out ?? 0) > 0 ? [request] : []
  })
}

interface Noted {
  readonly request?: { readonly method: string; readonly url: string }
  readonly bytes?: { readonly out: number }
}

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect } from 'vitest'
import { run } from '#devnet'

/** A registry of npm that has one version of one package, on this host only. */
export interface NpmRegistry extends AsyncDisposable {
  /** Makes npm ask here, and keep what it caches in a directory of its own. */
  readonly env: Readonly<Record<string, string>>
  /** Paths that were asked for. */
  readonly asked: readonly string[]
}

/** Serves a package with these files, as `npm publish` would have put it there. `dir` is an empty directory. */
export async function startNpmRegistry(
  dir: string,
  manifest: { readonly name: string; readonly version: string; readonly [key: string]: unknown },
  files: Readonly<Record<string, string>>,
): Promise<NpmRegistry> {
  const tarball = await pack(join(dir, 'package'), { 'package.json': JSON.stringify(manifest), ...files })
  const asked: string[] = []
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '')
    asked.push(path)
    if (path === `/${manifest.name}`) response.end(packument(manifest, tarball, request.headers.host ?? ''))
    else if (path === '/the.tgz') response.end(tarball)
    else response.writeHead(404).end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return {
    asked,
    env: {
      npm_config_registry: registry,
      npm_config_cache: join(dir, 'cache'),
      npm_config_userconfig: join(dir, 'none'),
      npm_config_fetch_retries: '0',
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function pack(folder: string, files: Readonly<Record<string, string>>): Promise<Buffer> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  const packed = await run('npm', ['pack', '--ignore-scripts', '--offline', '--json'], { cwd: folder })
  expect(packed.code, packed.stderr).toBe(0)
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }]
  return readFile(join(folder, filename))
}

function packument(manifest: { name: string; version: string }, tarball: Buffer, host: string): string {
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
  const version = { ...manifest, dist: { tarball: `http://${host}/the.tgz`, integrity } }
  return JSON.stringify({
    name: manifest.name,
    'dist-tags': { latest: manifest.version },
    versions: { [manifest.version]: version },
  })
}

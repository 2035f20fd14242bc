import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build, type Plugin } from 'esbuild'
import { afterAll, onTestFinished } from 'vitest'
import { resolveSettings } from '#core'
import type { ResourceClient, SourceRequest } from '#source'
import type * as Host from './index.ts'
import { type PluginPolicy, pluginPolicySettings } from './settings.ts'

/**
 * This component as it is shipped: bundled, and run by Node itself. Vitest puts its own module loader in the place of
 * every `import()` it sees, and that one forgives and caches other things than Node's does; what lies in node_modules
 * it leaves to Node.
 */
export async function bundledHost(apiVersion?: string): Promise<typeof Host> {
  const root = join(import.meta.dirname, '../..')
  const dir = await mkdtemp(join(root, 'node_modules/.plugin-host-'))
  afterAll(() => rm(dir, { recursive: true }))
  const shared = { bundle: true, platform: 'node', target: 'node20', format: 'esm' } as const
  const outfile = join(dir, 'host.mjs')
  const entry = join(import.meta.dirname, 'index.ts')
  await build({ ...shared, entryPoints: [entry], outfile, packages: 'external', plugins: contractOf(apiVersion) })
  await promisify(execFile)(process.execPath, [join(root, 'scripts/build.mjs'), `--child=${dir}`])
  const host: typeof Host = await import(pathToFileURL(outfile).href)
  return host
}

/** A host of another release: the contract with another version of itself. */
function contractOf(apiVersion: string | undefined): Plugin[] {
  if (apiVersion === undefined) return []
  return [
    {
      name: 'another-contract',
      setup({ onLoad }) {
        onLoad({ filter: /source\/contract\.ts$/ }, async ({ path }) => {
          const contents = (await readFile(path, 'utf8')).replace(/API_VERSION = '.*'/, `API_VERSION = '${apiVersion}'`)
          return { contents, loader: 'ts' }
        })
      },
    },
  ]
}

/** The policy of a host that nobody configured, but quicker. */
export function policyOf(changes: Partial<PluginPolicy> = {}): PluginPolicy {
  const defaults = resolveSettings(pluginPolicySettings, [])
  return { ...defaults, startTimeout: 2000, drainTimeout: 100, ...changes }
}

/** A directory with these files in it, gone after the test. */
export async function dirWith(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dragonfly-plugins-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) await put(join(dir, name), content)
  return dir
}

export async function put(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
}

/** The text of a plugin that works, in plain JavaScript. */
export function pluginText(
  scheme: string,
  parts: { metadata?: string; client?: string; before?: string } = {},
): string {
  return `${parts.before ?? ''}
export const DragonflyPluginInit = (options) => ({
  client: ${parts.client ?? "{ download: async () => ({ body: Buffer.from('hello world') }) }"},
  metadata: ${parts.metadata ?? `{ type: 'resource', name: '${scheme}', scheme: '${scheme}' }`},
})
`
}

/** The whole body of an answer to `download`, as text. */
export async function bodyText(client: ResourceClient, request: SourceRequest): Promise<string> {
  const { body } = await client.download(request)
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

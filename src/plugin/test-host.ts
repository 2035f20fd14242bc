import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterAll, onTestFinished } from 'vitest'

type PluginHost = typeof import('./index.ts')

/**
 * This component as it is shipped: bundled, and run by Node itself. Vitest puts its own module loader in the place of
 * every `import()` it sees, and that one forgives and caches other things than Node's does.
 */
export async function bundledHost(): Promise<PluginHost> {
  const dir = await mkdtemp(join(tmpdir(), 'dragonfly-plugin-host-'))
  afterAll(() => rm(dir, { recursive: true }))
  const outfile = join(dir, 'node_modules', 'plugin-host.mjs') // what lies there, Vitest leaves to Node
  const entry = join(import.meta.dirname, 'index.ts')
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
    alias: { '#source': '/work/main/src/source/contract.ts' },
  })
  return (await import(pathToFileURL(outfile).href)) as PluginHost
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

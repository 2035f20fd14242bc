// Writes what is derived from something else: the reference pages in docs/. With --check it compares instead, and looks
// also whether src/api/gen is what proto/ says.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { contractPage } from './contract-page.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const check = process.argv.includes('--check')
const draft = mkdtempSync(join(root, 'node_modules', '.generated-'))
const stale = []

try {
  const pages = { ...(await referencePages()), 'plugin-contract.md': contractPage(root) }
  for (const [name, text] of Object.entries(pages)) {
    const path = join(root, 'docs', name)
    if (!check) writeFileSync(path, text)
    else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) stale.push(`docs/${name}: run npm run docs`)
  }
  if (check) stale.push(...staleMessages())
} finally {
  rmSync(draft, { recursive: true, force: true })
}
for (const line of stale) console.error(`not up to date: ${line}`)
process.exitCode = stale.length === 0 ? 0 : 1

/** The pages are made by the sources themselves, which have to be bundled to run on Node 20. */
async function referencePages() {
  const outfile = join(draft, 'reference.mjs')
  await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/reference.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  })
  return (await import(pathToFileURL(outfile).href)).referencePages()
}

function staleMessages() {
  const out = join(draft, 'proto')
  const buf = spawnSync(join(root, 'node_modules', '.bin', 'buf'), ['generate', '-o', out], {
    cwd: root,
    encoding: 'utf8',
  })
  if (buf.status !== 0) return [`src/api/gen cannot be checked: ${buf.stderr ?? buf.error?.message}`]
  const made = textsBelow(join(out, 'src', 'api', 'gen'))
  const kept = textsBelow(join(root, 'src', 'api', 'gen'))
  const names = new Set([...made.keys(), ...kept.keys()])
  return [...names]
    .filter((name) => made.get(name) !== kept.get(name))
    .map((name) => `src/api/gen/${name}: run npm run proto`)
}

function textsBelow(directory) {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return [relative(directory, path), readFileSync(path, 'utf8')]
    }),
  )
}

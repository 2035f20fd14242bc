// After `npm install` against a registry that lacks some platforms: puts the packages of those platforms into
// package-lock.json, by version only. Without them `npm ci` calls the lock file out of step, everywhere.
import { readFileSync, writeFileSync } from 'node:fs'

const OS = new Set(['linux', 'darwin', 'win32', 'android', 'freebsd', 'openharmony'])
const CPU = {
  x64: 'x64',
  arm64: 'arm64',
  arm: 'arm',
  armv7: 'arm',
  ia32: 'ia32',
  ppc64: 'ppc64',
  s390x: 's390x',
  riscv64: 'riscv64',
}
const LIBC = { gnu: 'glibc', gnueabihf: 'glibc', musl: 'musl', musleabihf: 'musl' }

const path = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(path, 'utf8'))
const added = []
for (const [at, parent] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (lock.packages[`node_modules/${name}`] || lock.packages[`${at}/node_modules/${name}`]) continue
    lock.packages[`node_modules/${name}`] = entryOf(name, version, parent)
    added.push(name)
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
console.log(added.length === 0 ? 'nothing was missing' : `added ${added.join(', ')}`)

/** What the name of a platform package says: `@scope/name-linux-arm64-musl`. */
function entryOf(name, version, parent) {
  const words = name.split(/[-/]/)
  const os = words.find((word) => OS.has(word))
  const libc = os === 'linux' ? words.map((word) => LIBC[word]).find(Boolean) : undefined
  const cpu = words.map((word) => CPU[word]).find(Boolean)
  return {
    version: version.replace(/^[\^~]/, ''),
    ...(parent.dev && { dev: true }),
    optional: true,
    ...(cpu && { cpu: [cpu] }),
    ...(libc && { libc: [libc] }),
    ...(os && { os: [os] }),
  }
}

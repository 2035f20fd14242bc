import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')

/** Who may use whom (ARCHITECTURE.md). The daemon and the scheduler meet only in api/; source sees neither storage nor daemon. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  core: [],
  runtime: ['core'],
  source: ['core'],
  storage: ['core'],
  plugin: ['core', 'runtime', 'source'],
  kit: ['core', 'runtime', 'source', 'plugin'],
  api: ['core', 'runtime'],
  scheduler: ['core', 'runtime', 'api'],
  daemon: ['core', 'runtime', 'api', 'source', 'plugin', 'storage'],
  cli: ['core', 'runtime', 'api', 'source', 'plugin', 'kit', 'storage', 'scheduler', 'daemon'],
}
/** Tests may start a whole net; nothing that is shipped may. */
const TESTS_MAY_ALSO_USE = ['devnet']
const MOST_LINES = 350
const GENERATED = /^src\/api\/gen\//

interface Import {
  readonly file: string
  readonly target: string
  /** Gone once the types are: such an import makes no cycle at run time. */
  readonly typeOnly: boolean
}

const files = filesBelow('src').filter((file) => file.endsWith('.ts') && !GENERATED.test(file))
const imports = files.flatMap(importsOf)

test('every folder of src has its place in the table', () => {
  const folders = readdirSync(join(root, 'src')).filter((name) => statSync(join(root, 'src', name)).isDirectory())
  expect(folders.toSorted()).toEqual(Object.keys(MAY_USE).toSorted())
})

for (const [component, allowed] of Object.entries(MAY_USE)) {
  test(`${component} uses only ${allowed.join(', ') || 'itself'}`, () => {
    const own = imports.filter(({ file }) => file.startsWith(`src/${component}/`))
    const strayed = own.filter(({ file, target }) => {
      if (target.startsWith('#')) return !mayUse(file, target.slice(1), allowed)
      return target.startsWith('.') && !resolved(file, target).startsWith(`src/${component}/`)
    })
    expect(strayed.map(({ file, target }) => `${file} imports ${target}`)).toEqual([])
  })
}

test('a folder is entered through its index.ts, by name: nothing is imported by path from another folder', () => {
  const names = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).imports)
  for (const { file, target } of imports.filter((found) => found.target.startsWith('#'))) {
    expect(names, `${file} imports ${target}`).toContain(target)
  }
})

test('an index.ts holds nothing but export … from', () => {
  for (const file of files.filter((name) => name.endsWith('/index.ts'))) {
    const rest = withoutComments(read(file))
      .replaceAll(/export\s+(type\s+)?(\*(\s+as\s+\w+)?|\{[^}]*\})\s+from\s+'[^']+'/g, '')
      .trim()
    expect(rest, file).toBe('')
  }
})

test(`no file of src but a test has more than ${MOST_LINES} lines`, () => {
  const long = files.filter((file) => !file.endsWith('.test.ts') && read(file).split('\n').length > MOST_LINES + 1)
  expect(long).toEqual([])
})

test('nothing is exported by default, and no .ts import goes without its ending', () => {
  for (const file of files) expect(withoutComments(read(file)), file).not.toMatch(/^export default/m)
  const bare = imports.filter(({ target }) => target.startsWith('.') && !/\.(ts|js|mjs|cjs|json)$/.test(target))
  expect(bare).toEqual([])
})

test('no file has a name that says nothing', () => {
  const empty = /(^|[/-])(utils?|helpers?|common|base|manager|service|impl|misc)\.ts$/
  expect(files.filter((file) => empty.test(file))).toEqual([])
})

test('files do not import one another in a circle at run time', () => {
  const edges = new Map<string, string[]>()
  for (const { file, target, typeOnly } of imports) {
    if (typeOnly || file.endsWith('.test.ts')) continue
    const to = target.startsWith('#')
      ? `src/${target.slice(1)}/index.ts`
      : target.startsWith('.')
        ? resolved(file, target)
        : undefined
    if (to !== undefined) edges.set(file, [...(edges.get(file) ?? []), to])
  }
  expect(circleIn(edges)).toBeUndefined()
})

test('the import scanner sees every form of import', () => {
  const text = `import a, { type B } from './a.ts'
import type { C } from '#core'
export * from './d.ts'
export type { E } from './e.ts'
const f = await import('./f.ts')
import {
  g,
} from './g.ts'
// import './no.ts'
import './h.ts'`
  expect(scan('src/x/y.ts', text).map(({ target, typeOnly }) => [target, typeOnly])).toEqual([
    ['./a.ts', false],
    ['#core', true],
    ['./d.ts', false],
    ['./e.ts', true],
    ['./g.ts', false],
    ['./h.ts', false],
    ['./f.ts', false],
  ])
  expect(
    circleIn(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['b']],
      ]),
    ),
  ).toEqual(['b', 'c', 'b'])
})

function mayUse(file: string, component: string, allowed: readonly string[]): boolean {
  return allowed.includes(component) || (file.endsWith('.test.ts') && TESTS_MAY_ALSO_USE.includes(component))
}

function importsOf(file: string): Import[] {
  return scan(file, read(file))
}

function scan(file: string, text: string): Import[] {
  const code = withoutComments(text)
  const still = [...code.matchAll(/^\s*(?:import|export)\s+(type\s)?(?:[^'"`;()]*?\sfrom\s+)?'([^']+)'/gm)]
  const lazy = [...code.matchAll(/\bimport\(\s*'([^']+)'/g)]
  return [
    ...still.map(([, type, target = '']) => ({ file, target, typeOnly: type !== undefined })),
    // A lazy import is an import as to borders; `import('…').Type` in a type is one, too.
    ...lazy.map(([, target = '']) => ({ file, target, typeOnly: false })),
  ]
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1')
}

function circleIn(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const next of edges.get(file) ?? []) {
      const circle = visit(next, [...path, file])
      if (circle !== undefined) return circle
    }
    done.add(file)
    return undefined
  }
  for (const file of edges.keys()) {
    const circle = visit(file, [])
    if (circle !== undefined) return circle
  }
  return undefined
}

function resolved(file: string, target: string): string {
  return relative(root, resolve(root, dirname(file), target))
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = `${folder}/${name}`
    return statSync(join(root, path)).isDirectory() ? filesBelow(path) : [path]
  })
}

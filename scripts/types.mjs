// Writes dist/types: the declarations behind `dragonfly-ts/source`, `dragonfly-ts/source/testing` and `dragonfly-ts/plugin`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** Does nothing where the compiler is not installed: only publishing needs the declarations. */
export function writeTypes(root) {
  const compiler = join(root, 'node_modules', '.bin', 'tsc')
  const entries = ['src/source/sdk.ts', 'src/source/testing.ts', 'src/plugin/sdk.ts'].filter((file) =>
    existsSync(join(root, file)),
  )
  if (!existsSync(compiler) || entries.length === 0) return
  const out = join(root, 'dist', 'types')
  const project = mkdtempSync(join(root, 'dist', '.types-'))
  try {
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: join(root, 'src'),
        outDir: out,
      },
      include: [],
      files: entries.map((file) => join(root, file)),
    }
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config))
    rmSync(out, { recursive: true, force: true })
    const step = spawnSync(compiler, ['-p', project], { cwd: root, encoding: 'utf8' })
    if (step.status !== 0) throw new Error(`tsc failed:\n${step.stdout}${step.stderr}`)
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
  for (const file of filesBelow(out)) writeFileSync(file, withRealPaths(file, out))
}

/** Outside of this package `#core` means nothing, and a declaration is found as `.js`. */
function withRealPaths(file, out) {
  return readFileSync(file, 'utf8').replaceAll(
    /(from |import\()(['"])(#\w+|\.[^'"]+)\2/g,
    (_, before, quote, target) => {
      const path = target.startsWith('#') ? relative(dirname(file), join(out, target.slice(1), 'index.js')) : target
      const plain = (path.startsWith('.') ? path : `./${path}`).replace(/\.ts$/, '.js')
      return `${before}${quote}${plain}${quote}`
    },
  )
}

function filesBelow(directory) {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name)
    return statSync(path).isDirectory() ? filesBelow(path) : [path]
  })
}

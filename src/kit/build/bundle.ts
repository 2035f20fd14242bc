import { createRequire } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { BuildFailure, BuildOptions, BuildResult, Message, Plugin } from 'esbuild'
import { Failure, messageOf } from '#core'
import { installation, PACKAGE_NAME } from '../installation.ts'
import type { Stamp } from './stamp.ts'
import { type ExportStyle, wrapperText } from './wrapper.ts'

export interface Bundle {
  readonly contents: Uint8Array
  /** Of the bundler: `file:line: message`. */
  readonly warnings: readonly string[]
}

const MOST_MESSAGES = 20
const COMMONJS = [
  "import{createRequire as __requireOfPlugin}from'node:module';const require=__requireOfPlugin(import.meta.url);",
  "const __filenameOfPlugin=require('node:url').fileURLToPath(import.meta.url),",
  "__dirnameOfPlugin=require('node:path').dirname(__filenameOfPlugin);",
].join('')

/**
 * One module with everything that the entry imports. Fails with `plugin.broken`: a line for each of the bundler's
 * complaints, or that the entry gives out no init.
 */
export async function bundle(dir: string, entry: string, stamp: Stamp): Promise<Bundle> {
  const { build } = await import('esbuild')
  const run = (options: BuildOptions): Promise<BuildResult<{ write: false; metafile: true }>> =>
    build({ ...settingsFor(dir), ...options, write: false, metafile: true }).catch((error: unknown) => {
      throw asFailure(error, dir)
    })
  const bare = await run({ entryPoints: [entry] })
  const style = exportStyle(bare, relative(dir, entry))
  const contents = wrapperText(entry, style, stamp)
  const stdin = { contents, resolveDir: dirname(entry), sourcefile: 'dfget plugin build', loader: 'js' } as const
  const whole = await run({ stdin })
  return {
    contents: onlyFile(whole),
    warnings: bare.warnings.slice(0, MOST_MESSAGES).map((message) => lineOf(message, dir)),
  }
}

function settingsFor(dir: string): BuildOptions {
  return {
    absWorkingDir: dir,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outfile: join(dir, 'plugin.mjs'),
    loader: { '.wasm': 'binary' },
    logLevel: 'silent',
    plugins: [kitFromHere(), withoutAddons()],
    // CommonJS packages inside the bundle ask for built-ins with `require`, and for where they are.
    banner: { js: COMMONJS },
    define: { __dirname: '__dirnameOfPlugin', __filename: '__filenameOfPlugin' },
  }
}

/** A project that has not installed the kit is built with the one that this command is part of. */
function kitFromHere(): Plugin {
  const tried = Symbol('tried')
  return {
    name: 'kit-from-here',
    setup(build) {
      build.onResolve({ filter: new RegExp(`^${PACKAGE_NAME}/`) }, async ({ path, ...from }) => {
        if (from.pluginData === tried) return undefined
        const { kind, importer, resolveDir } = from
        const own = await build.resolve(path, { kind, importer, resolveDir, pluginData: tried })
        if (own.errors.length === 0) return own
        const here = createRequire(join(installation().root, 'package.json'))
        return { path: here.resolve(path) }
      })
    },
  }
}

/**
 * A native addon cannot be part of a file. Packages that can do without theirs ask for it and go on when that fails; the
 * others fail with these words when the plugin is loaded.
 */
function withoutAddons(): Plugin {
  return {
    name: 'without-addons',
    setup(build) {
      build.onResolve({ filter: /\.node$/ }, ({ path }) => ({ path: basename(path), namespace: 'addon' }))
      build.onLoad({ filter: /./, namespace: 'addon' }, ({ path }) => {
        const reason = `the native addon ${path} is no part of this file`
        return { contents: `throw new Error(${JSON.stringify(reason)})`, loader: 'js' }
      })
    },
  }
}

/** How the entry gives out its init. Only names are known here; what they hold shows when it is loaded. */
function exportStyle({ metafile }: BuildResult<{ metafile: true }>, entry: string): ExportStyle {
  const output = Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint !== undefined)
  const names = output?.exports ?? []
  if (names.includes('DragonflyPluginInit')) return 'named'
  if (names.includes('default')) return 'default'
  const told = names.length === 0 ? 'it exports nothing' : `it exports ${names.slice(0, 5).join(', ')}`
  throw new Failure('plugin.broken', `${entry} exports no DragonflyPluginInit: ${told}`)
}

function onlyFile({ outputFiles }: BuildResult<{ write: false }>): Uint8Array {
  const [file, ...others] = outputFiles
  if (file !== undefined && others.length === 0) return file.contents
  const names = outputFiles.map(({ path }) => path.replace(/.*[/\\]/, '')).join(', ')
  throw new Failure('plugin.broken', `a plugin is one file, but its imports make several of it: ${names}`)
}

function asFailure(error: unknown, dir: string): Failure {
  const { errors } = Object(error) as Partial<BuildFailure>
  if (errors === undefined) return new Failure('internal', `the bundler failed: ${messageOf(error)}`, { cause: error })
  const lines = errors.slice(0, MOST_MESSAGES).map((message) => lineOf(message, dir))
  const more = errors.length > MOST_MESSAGES ? [`and ${errors.length - MOST_MESSAGES} more`] : []
  return new Failure('plugin.broken', ['it cannot be bundled:', ...lines, ...more].join('\n'))
}

/** As editors and terminals make a link of it, from where the user stands. */
function lineOf({ location, text }: Message, dir: string): string {
  const place = location === null ? '' : `${placeOf(location, dir)}: `
  return `${place}${text}`
}

function placeOf({ file, line, column }: NonNullable<Message['location']>, dir: string): string {
  return `${relative(process.cwd(), resolve(dir, file))}:${line}:${column + 1}`
}

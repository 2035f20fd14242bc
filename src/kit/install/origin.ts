import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Failure } from '#core'
import { redactUrl } from '#source'

/** Where a plugin is to be had from. */
export type Origin =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'npm'; readonly spec: string }

const LONGEST_CHARS = 4096
const URL_LIKE = /^[a-z][a-z0-9+.-]*:\/\//i
/** The name of a package, and behind it a version, a range or a tag: nothing that npm would read as a URL or a path. */
const NPM_SPEC = /^(@[a-z0-9~][a-z0-9._~-]*\/)?[a-z0-9~][a-z0-9._~-]*(@[A-Za-z0-9.^~<>=|*_+ -]+)?$/
const PATH_LIKE = /^[./~\\]|(\.(mjs|js|tgz|tar\.gz)|[/\\])$|^d7y-/

/** Tells a file, a URL and a package apart; what lies there as a file is one. Fails with `usage.invalid`. */
export function parseOrigin(what: string): Origin {
  if (what === '' || what.length > LONGEST_CHARS || what.includes('\0')) throw invalid('the name is empty or too long')
  if (URL_LIKE.test(what)) return urlOrigin(what)
  if (existsSync(what)) return { kind: 'path', path: resolve(what) }
  if (PATH_LIKE.test(what)) throw invalid(`${what} is not there`)
  if (NPM_SPEC.test(what)) return { kind: 'npm', spec: what }
  throw invalid(`"${what.slice(0, 200)}" is neither a file, nor an http(s) URL, nor the name of an npm package`)
}

function urlOrigin(text: string): Origin {
  if (!URL.canParse(text)) throw invalid(`"${redactUrl(text)}" is not a URL`)
  const url = new URL(text)
  if (url.protocol === 'http:' || url.protocol === 'https:') return { kind: 'url', url: text }
  if (url.protocol !== 'file:') throw invalid(`${redactUrl(text)}: plugins are fetched over http and https only`)
  try {
    return { kind: 'path', path: fileURLToPath(url) }
  } catch {
    throw invalid(`${redactUrl(text)} names no file of this machine`)
  }
}

function invalid(message: string): Failure {
  return new Failure('usage.invalid', message)
}

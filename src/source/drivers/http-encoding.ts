import { pipeline, type Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { Headers } from '../contract.ts'
import { notSupported } from '../source-error.ts'

const DECODERS = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
} as const

export type Coding = keyof typeof DECODERS

/** Names and types of files that are compressed themselves, by the coding that servers then announce. */
const COMPRESSED_FILES: Readonly<Record<string, { name: RegExp; type: RegExp }>> = {
  gzip: { name: /\.(t?gz|svgz|gzip|gzipped)$/i, type: /^application\/(x-)?(gzip|gtar-compressed|tgz)\b/i },
  br: { name: /\.(br|tbr)$/i, type: /^application\/(x-)?brotli\b/i },
  zstd: { name: /\.t?zstd?$/i, type: /^application\/(x-)?zstd\b/i },
  compress: { name: /\.t?z$/i, type: /^application\/x-compress\b/i },
}

/**
 * What has to be undone to a body, if anything. No coding was asked for, so there are two reasons for one: the file
 * itself is compressed and the server calls that a coding (`file.tar.gz`): its bytes are the file, as they are. Or the
 * server compresses whatever it is asked: that is undone, and then neither length nor ranges are known.
 */
export function codingOf(url: URL, headers: Headers): Coding | undefined {
  const said = (headers['content-encoding'] ?? '').trim().toLowerCase()
  if (said === '' || said === 'identity') return undefined
  const { name, type } = COMPRESSED_FILES[said.replace(/^x-/, '')] ?? {}
  if (name?.test(url.pathname) || type?.test(headers['content-type'] ?? '')) return undefined
  if (Object.hasOwn(DECODERS, said)) return said as Coding
  throw notSupported(`the origin sends Content-Encoding "${said.slice(0, 40)}", which nobody asked for`)
}

/** The body without its coding. Fails when it ends too early, as the coded one would. */
export function decoded(body: Readable, coding: Coding): Readable {
  return pipeline(body, DECODERS[coding](), () => undefined) // errors reach the reader of the decoded stream
}

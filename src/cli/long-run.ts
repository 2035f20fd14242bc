import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, makeDirs, messageOf } from '#core'
import {
  createLog,
  type Directories,
  directories,
  guardProcess,
  type Logger,
  type Metrics,
  type Scope,
  serveMetrics,
} from '#runtime'

/** What any long-running program of ours has. */
export interface LongRun {
  readonly directories: Directories
  readonly log: Logger
  /** Undefined where nobody asked for metrics. */
  readonly metrics: Metrics | undefined
}

interface ProcessSettings {
  readonly workhome: string
  readonly logdir: string
  readonly console: boolean
  readonly verbose: boolean
  readonly metrics: { readonly listen: string }
}

/** Makes directories, log and metrics of a program; what has to be closed goes to `scope`. */
export async function openLongRun(name: string, settings: ProcessSettings, scope: Scope): Promise<LongRun> {
  const places = directories(settings)
  makeDirectory(places.workhome)
  const file = join(places.logdir, name, `${name}.log`)
  const level = settings.verbose ? 'debug' : 'info'
  const log = scope.own(createLog({ name, level, ...(settings.console ? {} : { file }) }))
  scope.own(guardProcess((error, kind) => log.error({ error, kind }, `nobody waited for this: ${messageOf(error)}`)))
  const listen = addressOf(settings.metrics.listen)
  const metrics = listen && scope.own(await openMetrics(listen))
  if (metrics !== undefined) log.info({ host: listen?.host, port: metrics.port }, 'metrics are served')
  return { directories: places, log, metrics }
}

/** Tells what it means to be reachable from other machines, once. */
export function warnWhenOpen(listen: string, what: string, log: Logger): void {
  if (isLoopback(listen)) return
  const message = `listening on ${listen}: every machine that reaches this address can use ${what}, without a password`
  log.warn({ listen }, message)
  process.stderr.write(`warning: ${message}\n`)
}

/** A line that others can wait for, on stdout and in the log. */
export function tellReady(facts: Readonly<Record<string, unknown>>, log: Logger): void {
  log.info(facts, 'ready')
  process.stdout.write(`${JSON.stringify({ msg: 'ready', ...facts })}\n`)
}

/** A file with the number of this process, for as long as the scope lives. */
export function writePid(path: string, scope: Scope): void {
  writeFileSync(path, `${process.pid}\n`)
  scope.defer(() => rmSync(path, { force: true }))
}

export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address)
}

async function openMetrics(listen: { readonly host: string; readonly port: number }): Promise<Metrics> {
  try {
    return await serveMetrics(listen)
  } catch (cause) {
    const message = `metrics.listen: cannot listen on ${listen.host}:${listen.port}: ${messageOf(cause)}`
    throw new Failure('config.invalid', message, { cause })
  }
}

function makeDirectory(path: string): void {
  try {
    makeDirs(path, mkdirSync)
  } catch (cause) {
    const message = `workhome: cannot make ${path}: ${messageOf(cause)}; name another one with --workhome`
    throw new Failure('config.invalid', message, { cause })
  }
}

function addressOf(text: string): { host: string; port: number } | undefined {
  if (text === '') return undefined
  const match = /^\[?([^\]]*?)\]?:(\d{1,5})$/.exec(text)
  const [, host, port] = match ?? []
  if (port === undefined || Number(port) > 65_535) {
    throw new Failure('config.invalid', `metrics.listen: "${text}" is not host:port, for example 127.0.0.1:8000`)
  }
  return { host: host || '127.0.0.1', port: Number(port) }
}

import { readFile } from 'node:fs/promises'
import { Failure, messageOf, parseDigest, parseDuration } from '#core'
import { type Row, tryPlugin, type TryOrder, type Verdict } from '#kit'
import { foundAt, type FoundPlugin, openPlugin, type OpenPlugin } from '#plugin'
import { readHeaders } from '../order.ts'
import { keepStdout, printLine, printResult } from '../own-stdout.ts'
import { pluginSettingsOf } from '../plugin-settings.ts'
import type { TestFlags } from './test-command.ts'

const VERDICTS: readonly Verdict[] = ['passed', 'failed', 'not supported', 'not tried']

export async function runTest(file: string, flags: TestFlags): Promise<void> {
  keepStdout()
  const found = await foundAt(file)
  if (found.type !== 'resource')
    throw new Failure('usage.invalid', `${file} is a ${found.type} plugin: only resource plugins read URLs`)
  const order = await orderOf(found, flags)
  const { options, policy } = pluginSettingsOf(flags)
  const open = (): Promise<OpenPlugin> =>
    openPlugin(found, { options, policy, warn: tell, print: tell }).catch((error: unknown) => {
      if (!(error instanceof Failure)) throw error
      throw new Failure(error.code, `plugin ${file}: ${error.message}`, { cause: error.cause })
    })
  const live = (row: Row): void => {
    if (!flags.json) printLine(lineOf(row))
  }
  const { rows, warnings } = await tryPlugin(open, order, live)
  for (const warning of warnings) tell(`warning: ${warning}`)
  const counts = VERDICTS.map((verdict) => [verdict, rows.filter((row) => row.verdict === verdict).length] as const)
  const failed = rows.some(({ verdict }) => verdict === 'failed')
  if (flags.json) printResult({ success: !failed, url: order.url, rows, ...Object.fromEntries(counts) })
  else printLine(counts.map(([verdict, count]) => `${count} ${verdict}`).join(', '))
  process.exitCode = failed ? 1 : 0
}

async function orderOf({ name }: FoundPlugin, flags: TestFlags): Promise<TryOrder> {
  const { url, missingUrl, deniedUrl, emptyUrl, unicodeUrl, hugeUrl, listUrl, change } = flags
  const urls = { url, missingUrl, deniedUrl, emptyUrl, unicodeUrl, hugeUrl, listUrl }
  for (const [key, value] of Object.entries(urls)) if (value !== undefined) checkUrl(key, value, name)
  const content = flags.content === undefined ? undefined : await readContent(flags.content)
  if (flags.digest !== undefined && parseDigest(flags.digest).algorithm === 'crc32')
    throw new Failure('usage.invalid', '--digest takes md5, sha1, sha256 or sha512')
  return {
    ...(Object.fromEntries(
      Object.entries({ ...urls, change, content, digest: flags.digest }).filter(([, value]) => value !== undefined),
    ) as Omit<TryOrder, 'headers' | 'timeoutMs'>),
    headers: readHeaders(flags.header),
    timeoutMs: timeoutOf(flags.timeout),
  }
}

function checkUrl(key: string, value: string, scheme: string): void {
  if (key === 'missingUrl' && value === 'none') return
  if (value.toLowerCase().startsWith(`${scheme}:`) && URL.canParse(value)) return
  const flag = `--${key.replace(/Url$/, '-url')}`
  throw new Failure('usage.invalid', `${flag} ${value} is no URL of the scheme ${scheme}, which this plugin reads`)
}

async function readContent(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new Failure('usage.invalid', `--content ${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

function timeoutOf(text: string): number {
  let ms: number
  try {
    ms = parseDuration(text)
  } catch (error) {
    throw new Failure('usage.invalid', `--timeout ${text} ${messageOf(error)}`)
  }
  if (ms > 0 && ms < 2 ** 31) return ms
  throw new Failure('usage.invalid', `--timeout ${text} is not between 1ms and 24d`)
}

function lineOf({ check, verdict, detail }: Row): string {
  return `${verdict.padEnd(13)}  ${check}${detail === '' ? '' : `: ${detail}`}`
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}

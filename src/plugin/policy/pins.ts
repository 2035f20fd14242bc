import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Failure, messageOf } from '#core'
import { describe } from '../one-line.ts'
import { ofScheme } from './of-scheme.ts'

/** SHA-256 of a file, in hex. */
export async function sha256Of(file: string): Promise<string> {
  const content = await readFile(file).catch((error: unknown) => {
    // Nothing is known of the plugin itself: it is looked at again soon.
    throw new Failure('plugin.refused', `it cannot be read: ${messageOf(error)}`, { cause: error })
  })
  return createHash('sha256').update(content).digest('hex')
}

/** Fails with `plugin.refused` when the configuration pins a scheme to another file, or `config.invalid` for no pin. */
export function checkPin(scheme: string, sha256: string, pins: Readonly<Record<string, unknown>>): void {
  const pin = ofScheme(pins, scheme)
  if (pin === undefined) return
  const hex = typeof pin === 'string' ? pin.toLowerCase().replace(/^sha256:/, '') : ''
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    const advice = typeof pin === 'number' ? ': put it between quotes' : ''
    throw new Failure('config.invalid', `pluginPolicy.pins.${scheme}: ${describe(pin)} is no SHA-256 in hex${advice}`)
  }
  if (hex === sha256) return
  throw new Failure(
    'plugin.refused',
    `its SHA-256 is ${sha256}, but pluginPolicy.pins.${scheme} says ${hex}: put the pinned file back, or change the pin`,
  )
}

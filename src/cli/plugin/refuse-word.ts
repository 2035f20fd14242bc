import type { Command } from 'commander'
import { Failure, nearWord } from '#core'

/** A word where a command was expected: a slip, or a command that stands behind options. */
export function refuseWord(word: string, { parent }: Command): never {
  const names = (parent?.commands ?? []).map((command) => command.name())
  const plugin = [parent?.parent?.name(), parent?.name()].filter((name) => name !== undefined).join(' ')
  if (names.includes(word))
    throw new Failure('usage.invalid', `options go behind the command: write ${plugin} ${word} [options]`)
  const meant = nearWord(word, names)
  const advice = meant === undefined ? `it has ${names.join(', ')}` : `did you mean ${plugin} ${meant}?`
  throw new Failure('usage.invalid', `"${word.slice(0, 100)}" is no command of ${plugin}: ${advice}`)
}

import type { Option } from 'commander'

/** What the help says of an option: its default only where there is one to speak of, written as one would give it. */
export function optionHelp({ description, defaultValue }: Option): string {
  const shown = typeof defaultValue === 'string' && defaultValue !== ''
  return shown ? `${description} (default: ${defaultValue})` : description
}

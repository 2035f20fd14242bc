import { relative } from 'node:path'
import { newPlugin } from '#kit'
import { printLine } from '../own-stdout.ts'

export async function runNew(scheme: string, dir: string | undefined): Promise<void> {
  const made = await newPlugin(dir === undefined ? { scheme } : { scheme, dir })
  const place = relative(process.cwd(), made.dir)
  printLine(`wrote ${place === '' ? '.' : place}: ${made.files.join(', ')}`)
  printLine(`linked node_modules/dragonfly-ts to ${made.linkedTo}, so that it builds and tests at once`)
  if (!made.typesThere)
    printLine(`the types for editors are not built there: npm run build in ${made.linkedTo} makes them`)
  printLine(`next: ${place === '' ? '' : `cd ${place} && `}npm test`)
}

import { Command } from 'commander'

const MORE = `
The project builds and passes its tests as it stands, without a network: its node_modules is linked to this installation.

  dfget plugin new store
  cd d7y-resource-plugin-store
  npm test`

/** `dfget plugin new`: a project to begin with. */
export function newCommand(): Command {
  return new Command('new')
    .description('Writes a small TypeScript project for a plugin: the source, its tests and what builds it.')
    .summary('write a project for a new plugin')
    .argument('<scheme>', 'the scheme of the URLs it is to read: a letter, then letters, digits, "+", "-" and "."')
    .argument('[dir]', 'an empty directory, or one to be made (default: d7y-resource-plugin-<scheme>)')
    .addHelpText('after', MORE)
    .action(async (scheme: string, dir: string | undefined) => {
      const { runNew } = await import('./run-new.ts')
      await runNew(scheme, dir)
    })
}

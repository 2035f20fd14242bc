import { Command } from 'commander'
import { type PluginFlags, withPluginFlags } from './plugin-flags.ts'

export interface InstallFlags extends PluginFlags {
  readonly sha256?: string
  readonly force: boolean
  readonly json: boolean
}

const MORE = `
A plugin is loaded apart and checked before it is put there. One that only lacks options is installed with a note.
It goes into --plugin-dir, else into the plugins directory of the work home. Hosts that run pick it up by themselves.

  dfget plugin install dist/d7y-resource-plugin-store.mjs
  dfget plugin install https://host/d7y-resource-plugin-store.mjs --sha256 <hex>
  dfget plugin install @vendor/store-plugin@^1.0.0`

/** `dfget plugin install`: from wherever a plugin lies into a plugin directory. */
export function installCommand(): Command {
  return withPluginFlags(new Command('install'))
    .description('Puts a plugin into a plugin directory: fetched, compared, tried out, and noted where it came from.')
    .summary('put a plugin from a file, a URL or an npm package into a plugin directory')
    .argument('<what>', 'a plugin file or folder, an http(s) URL, or an npm package: name, name@version or a .tgz')
    .option('--sha256 <hex>', 'what the plugin file has to match; compared before anything of it is run')
    .option('--force', 'also one that hosts cannot use as it is, or in the place of one of another kind', false)
    .option('--json', 'print one result object on stdout, and nothing else there', false)
    .addHelpText('after', MORE)
    .action(async (what: string, flags: InstallFlags, command: Command) => {
      const { runInstall } = await import('./run-install.ts')
      await runInstall(what, flags, command.parent?.parent?.name())
    })
}

import { Command } from 'commander'
import { type PluginSettingFlags, withPluginSettingFlags } from './plugin-flags.ts'

export interface BuildFlags extends PluginSettingFlags {
  readonly out?: string
  readonly scheme?: string
  readonly vendor?: string
  readonly check: boolean
}

const MORE = `
The source begins at "source" of package.json, else at its main, index.ts, index.js or src/index.ts. Type and name come
from the name of the package, d7y-<type>-plugin-<name>. The metadata gets buildCommit, buildTime, vendor (the author in
package.json) and apiVersion, where the plugin does not set them itself. SOURCE_DATE_EPOCH in the environment sets the
time, for builds that are to be the same byte for byte.`

/** `dfget plugin build`: one file out of a project, checked as a host would. */
export function buildCommand(): Command {
  return withPluginSettingFlags(new Command('build'))
    .description('Bundles a plugin and all that it imports into one file, then loads and checks that as a host would.')
    .summary('bundle a plugin with all that it imports into one file, and check it')
    .argument('[dir]', 'the project (default: the working directory)')
    .option('--out <dir>', 'where the file goes (default: dist in the project)')
    .option('--scheme <scheme>', 'build a plugin for this scheme, whatever the package is called')
    .option('--vendor <name>', 'who makes it (default: the author in package.json)')
    .option('--no-check', 'do not load what was built')
    .addHelpText('after', MORE)
    .action(async (dir: string | undefined, flags: BuildFlags) => {
      const { runBuild } = await import('./run-build.ts')
      await runBuild(dir ?? '.', flags)
    })
}

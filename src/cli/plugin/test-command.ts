import { Command } from 'commander'
import { type PluginSettingFlags, withPluginSettingFlags } from './plugin-flags.ts'

export interface TestFlags extends PluginSettingFlags {
  readonly url: string
  readonly content?: string
  readonly digest?: string
  readonly missingUrl?: string
  readonly deniedUrl?: string
  readonly emptyUrl?: string
  readonly unicodeUrl?: string
  readonly hugeUrl?: string
  readonly listUrl?: string
  readonly change?: string
  readonly header: readonly string[]
  readonly timeout: string
  readonly json: boolean
}

const MORE = `
What is not given is not tried, and the table says which flag it takes. Exit codes: 0 nothing failed, 1 something did.

  dfget plugin test dist/d7y-resource-plugin-store.mjs --url store://host/file --content file`

const repeat = (value: string, before: readonly string[]): readonly string[] => [...before, value]

/** `dfget plugin test`: the contract, asked of a plugin and a live origin. */
export function testCommand(): Command {
  const command = new Command('test')
    .description('Asks of a plugin, through the host, all that the contract promises, with a live origin of yours.')
    .summary('try a plugin against a live origin')
    .argument('<file>', 'a plugin file, or folder')
    .requiredOption('--url <url>', 'a resource of less than 256 MiB')
    .option('--content <file>', 'what is at --url, to be compared byte by byte')
    .option('--digest <algorithm:hex>', 'what the bytes at --url must match')
    .option('--missing-url <url>', 'where nothing is (default: --url with a strange ending; none: not tried)')
    .option('--denied-url <url>', 'what the plugin may not read')
    .option('--empty-url <url>', 'a resource without a byte')
    .option('--unicode-url <url>', 'a resource with a character beyond ASCII in its path')
    .option('--huge-url <url>', 'a resource of 1 GiB or more; 64 MiB of it are read')
    .option('--list-url <url>', 'what can be listed')
    .option('--change <command>', 'a shell command after which --url is another version of the resource; run last')
    .option('-H, --header <name: value>', 'sent with each request (repeatable)', repeat, [])
    .option('--timeout <duration>', 'how long each check may take', '60s')
    .option('--json', 'print one object on stdout, and nothing else there', false)
  return withPluginSettingFlags(command)
    .addHelpText('after', MORE)
    .action(async (file: string, flags: TestFlags) => {
      const { runTest } = await import('./run-test.ts')
      await runTest(file, flags)
    })
}

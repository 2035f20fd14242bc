import { Command } from 'commander'
import { optionHelp } from './option-help.ts'
import { addPluginFlags } from './plugin-flags.ts'
import type { DownloadFlags } from './order.ts'

const repeat = (value: string, before: readonly string[]): readonly string[] => [...before, value]
const repeatOrList = (value: string, before: readonly string[]): readonly string[] => [
  ...before,
  ...value.split(',').filter((part) => part !== ''),
]

/** `dfget URL -O FILE`; `run` is called with what stood on the command line. */
export function downloadCommand(run: (flags: DownloadFlags, url: string | undefined) => void | Promise<void>): Command {
  const command = new Command('dfget')
    .description('Downloads one file through the swarm, or from its origin where there is no swarm.')
    .configureHelp({ optionDescription: optionHelp })
    .usage('[options] <url> -O <path>')
    .argument('[url]', 'where the file was published, scheme://host/path')
    .option('-u, --url <url>', 'the same as the argument, and counts more')
    .option('-O, --output <path>', "file to write, - for stdout (default: the last part of the URL's path)")
    .option('--timeout <duration>', 'give up after this long, 0 for never', '0')
    .option('--limit <size>', 'bytes per second for this download, such as 20MiB; 0 for no limit', '0')
    .option('--digest <algorithm:hex>', 'what the file has to match: md5, sha1, sha256, sha512 or crc32')
    .option('--tag <tag>', 'keeps the same URL apart from the one without this tag', '')
    .option('--filter <names>', 'query parameters that do not make another file, as name&name', '')
    .option('-H, --header <name: value>', 'header for the origin (repeatable)', repeat, [])
    .option('--disable-back-source', 'fail rather than read the origin', false)
    .option('-p, --pattern <pattern>', 'p2p or cdn: ask the daemon; source: read the origin, without a daemon', 'p2p')
    .option('-b, --show-progress', 'show how far it is (default: on a terminal)')
    .option('--no-show-progress', 'show no progress')
    .option('--range <range>', 'only these bytes: first-last, first- or -length')
    .option('--original-offset', 'write the range at its own place in the output, and leave the rest alone', false)
    .option('--workhome <dir>', 'directory of the daemon, its socket and its plugins')
    .option('--logdir <dir>', 'directory of the logs')
    .option('--console', 'log to stderr instead of a file, without a progress bar', false)
    .option('--callsystem <name>', 'who calls, for the log', '')
    .option('--verbose', 'log more, and tell the causes of an error', false)
    .option('--scheduler <host:port>', 'scheduler of a daemon that is started (repeatable)', repeatOrList, [])
    .option('--plugin-dir <dir>', 'look for plugins here as well (repeatable)', repeat, [])
    .option('--config <file>', 'settings of a daemon that is started, and of -p source')
    .option('--json', 'print one result object on stdout, and nothing else there', false)
    .action((url: string | undefined, flags: DownloadFlags) => run(flags, url))
  return addPluginFlags(command)
}

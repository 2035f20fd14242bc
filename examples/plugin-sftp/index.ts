// Reads sftp://[user@]host[:port]/path from SSH servers. One connection per server is kept and shared.
import type { DragonflyPluginInit as Init } from 'dragonfly-ts/source'
import { createClient } from './client.ts'
import { checkOptions } from './options.ts'
import { Sessions } from './sessions.ts'

export { DragonflyPluginOptions } from './options.ts'

export const DragonflyPluginInit: Init = (options) => {
  const checked = checkOptions(options)
  return {
    client: createClient(checked, new Sessions()),
    // It needs the network and nothing else: keys and passwords come with the options.
    metadata: { type: 'resource', name: 'sftp', scheme: 'sftp' },
  }
}

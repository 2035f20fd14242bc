// Reads npm://registry[:port]/package@version: the tarball of a package, checked against what its registry publishes.
import type { DragonflyPluginInit as Init } from 'dragonfly-ts/source'
import { createClient } from './client.ts'
import { Registry } from './registry.ts'

export { DragonflyPluginOptions } from './options.ts'

export const DragonflyPluginInit: Init = (options) => ({
  client: createClient(new Registry(options)),
  // It needs the network and nothing else: tokens come with the options.
  metadata: { type: 'resource', name: 'npm', scheme: 'npm' },
})

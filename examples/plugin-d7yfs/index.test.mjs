// What every source must do, asked of the built file: the one that hosts will load.
import { testSource } from 'dragonfly-ts/source/testing'
import { DragonflyPluginInit } from './dist/d7y-resource-plugin-d7yfs.mjs'

const { client } = DragonflyPluginInit({})

testSource('d7yfs', () => ({
  client,
  url: 'd7yfs://host:56001/path/to/resource',
  content: new TextEncoder().encode('hello world'),
  ranges: false,
}))

import { newResponse } from 'dragonfly-ts/source'
import type { DragonflyPluginInit as Init, ResourceClient } from 'dragonfly-ts/source'

const data = new TextEncoder().encode('hello world')

// Written in by build.mjs; unknown where the source runs unbuilt.
declare const BUILD_COMMIT: string | undefined
declare const BUILD_TIME: string | undefined
const buildCommit = typeof BUILD_COMMIT === 'string' ? BUILD_COMMIT : 'unknown'
const buildTime = typeof BUILD_TIME === 'string' ? BUILD_TIME : 'unknown'
const vendor = 'd7y'

const client: ResourceClient = {
  async getContentLength() {
    return data.length
  },
  async isSupportRange() {
    return false
  },
  async isExpired() {
    throw new Error('implement me')
  },
  async download() {
    return newResponse(data)
  },
  async getLastModified() {
    throw new Error('implement me')
  },
}

export const DragonflyPluginInit: Init = () => ({
  client,
  metadata: { scheme: 'd7yfs', type: 'resource', name: 'd7yfs', buildCommit, buildTime, vendor },
})

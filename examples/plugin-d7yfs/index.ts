import { newResponse } from 'dragonfly-ts/source'
import type { DragonflyPluginInit as Init, ResourceClient } from 'dragonfly-ts/source'

const data = new TextEncoder().encode('hello world')

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
  // The build adds buildCommit, buildTime and apiVersion.
  metadata: { scheme: 'd7yfs', type: 'resource', name: 'd7yfs', vendor: 'd7y' },
})

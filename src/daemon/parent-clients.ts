import { openChannel, type UploadClient, uploadClient } from '#api'
import type { Parent } from './plan.ts'

/** Channels kept to parents; the one that was not used for longest is closed first. */
const MAX_CHANNELS = 128

/** One channel per parent host, opened when first needed. */
export class ParentClients implements AsyncDisposable {
  readonly #channels = new Map<string, ReturnType<typeof openChannel>>()
  readonly #clients = new Map<string, UploadClient>()

  client({ ip, port }: Pick<Parent, 'ip' | 'port'>): UploadClient {
    const address = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
    const known = this.#clients.get(address)
    if (known !== undefined) {
      this.#clients.delete(address)
      this.#clients.set(address, known)
      return known
    }
    const channel = openChannel(address)
    const client = uploadClient(channel)
    this.#channels.set(address, channel)
    this.#clients.set(address, client)
    const oldest = this.#clients.size > MAX_CHANNELS ? this.#clients.keys().next().value : undefined
    if (oldest !== undefined) void this.#close(oldest)
    return client
  }

  async #close(address: string): Promise<void> {
    const channel = this.#channels.get(address)
    this.#channels.delete(address)
    this.#clients.delete(address)
    await channel?.[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#channels.keys()].map((address) => this.#close(address)))
  }
}

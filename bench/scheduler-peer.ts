import {
  AnnouncePeerRequest,
  type AnnouncePeerResponse,
  Download,
  Host as HostMessage,
  Piece,
  type SchedulerClient,
  TrafficType,
} from '#api'
import { versionOf } from '#core'

const PIECE_LENGTH = 4 * 2 ** 20
/** More than any peer reports: who says twice that a piece is here is not listened to, and would cost less. */
export const PIECES = 8192
export const TASK_ID = 'a'.repeat(64)
const ETAG = '"1"'
/** A file of 32 GiB, in the words of our daemons. */
const DOWNLOAD = Download.fromPartial({
  url: 'http://origin.example/models/a-large-file.bin',
  priority: 6,
  version: versionOf({ etag: ETAG }),
  etag: ETAG,
  actualContentLength: PIECES * PIECE_LENGTH,
  actualPieceLength: PIECE_LENGTH,
  actualPieceCount: PIECES,
})

type Said = NonNullable<AnnouncePeerRequest['request']>

/** One peer of one host on a stream of its own, which says what a daemon would say. */
export class LoadPeer {
  readonly #ids: { readonly hostId: string; readonly taskId: string; readonly peerId: string }
  readonly #call: ReturnType<SchedulerClient['announcePeer']>
  #parentId: string | undefined
  #next = 0

  constructor(index: number, client: SchedulerClient) {
    const hostId = hostIdOf(index)
    const uuid = `0f8fad5b-d9cd-469f-a165-${String(index).padStart(12, '0')}`
    this.#ids = { hostId, taskId: TASK_ID, peerId: `${hostId}-${uuid}` }
    this.#call = client.announcePeer()
  }

  /** Registers, and does what it is told as far as the scheduler can see. */
  async join(): Promise<void> {
    await this.#say({ $case: 'registerPeerRequest', value: { download: DOWNLOAD } })
    const answer = await this.#answer()
    if (answer?.$case === 'needBackToSourceResponse')
      return this.#say({ $case: 'downloadPeerBackToSourceStartedRequest', value: { facts: undefined } })
    return this.#take(answer)
  }

  /** Asks for more parents, as a round does that goes on. */
  async plan(): Promise<void> {
    const value = { candidateParents: [], description: 'pieces are missing' }
    await this.#say({ $case: 'reschedulePeerRequest', value })
    await this.#take(await this.#answer())
  }

  /** The next piece is here. Resolves when more can be sent. */
  report(): Promise<void> {
    const number = this.#next++ % PIECES
    const parentId = this.#parentId
    const trafficType = parentId === undefined ? TrafficType.BACK_TO_SOURCE : TrafficType.REMOTE_PEER
    const piece = Piece.fromPartial({
      number,
      offset: number * PIECE_LENGTH,
      length: PIECE_LENGTH,
      digest: 'crc32:1475635037',
      trafficType,
      cost: { seconds: 0, nanos: 35e6 },
      createdAt: { seconds: 1_790_000_000 + number, nanos: 5e6 },
    })
    const value = { piece: { ...piece, parentId } }
    if (parentId === undefined) return this.#say({ $case: 'downloadPieceBackToSourceFinishedRequest', value })
    return this.#say({ $case: 'downloadPieceFinishedRequest', value })
  }

  leave(): void {
    this.#call[Symbol.dispose]()
  }

  #say(request: Said): Promise<void> {
    return this.#call.send({ ...AnnouncePeerRequest.fromPartial(this.#ids), request })
  }

  async #take(answer: AnnouncePeerResponse['response']): Promise<void> {
    if (answer?.$case !== 'normalTaskResponse') throw new Error(`the scheduler answered ${answer?.$case ?? 'nothing'}`)
    this.#parentId ??= answer.value.candidateParents[0]?.id
    await this.#say({ $case: 'downloadPeerStartedRequest', value: {} })
  }

  async #answer(): Promise<AnnouncePeerResponse['response']> {
    const { done, value } = await this.#call.responses.next()
    return done ? undefined : value.response
  }
}

/** As its daemon announces it. Every other host is in another data centre. */
export function hostMessageOf(index: number): HostMessage {
  return HostMessage.fromPartial({
    id: hostIdOf(index),
    hostname: nameOf(index),
    ip: ipOf(index),
    port: 4000,
    downloadPort: 4000,
    os: 'linux',
    platform: 'linux',
    publicKey: new Uint8Array(32).fill(index % 256),
    network: { idc: index % 2 === 0 ? 'east' : 'west', location: 'a|b|c' },
  })
}

function hostIdOf(index: number): string {
  return `${ipOf(index)}-${nameOf(index)}`
}

function nameOf(index: number): string {
  return `node-${String(index).padStart(5, '0')}.cluster.example`
}

function ipOf(index: number): string {
  return `10.${index >>> 16}.${(index >>> 8) & 255}.${index & 255}`
}

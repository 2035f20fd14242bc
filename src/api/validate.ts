import { isIP } from 'node:net'
import { BLOCK_LENGTH, blockCount, MAX_PIECE_LENGTH, MIN_PIECE_LENGTH, messageOf, parseDigest } from '#core'
import { checkBytes, checkCount, checkHeaders, checkId, checkNumber, checkText, wrong } from './field-checks.ts'
import {
  type AnnounceHostRequest,
  type AnnouncePeerRequest,
  type AnnouncePeerResponse,
  type Download,
  type DownloadTaskRequest,
  type Host,
  type Piece,
  type SyncPiecesRequest,
  type SyncPiecesResponse,
  type TaskFacts,
  TaskType,
} from './messages.ts'

const MAX_URL_CHARACTERS = 8192
const MAX_SAFE = Number.MAX_SAFE_INTEGER
const MAX_PIECES = 2 ** 20
/** Pieces of which one message tells. */
const MAX_NEWS = 1024
const MAX_BLOCK_BYTES = Math.ceil(MAX_PIECE_LENGTH / BLOCK_LENGTH / 8)

/** The ids of any message that has some. */
export function checkIds(request: { hostId?: string; taskId?: string; peerId?: string }): void {
  if (request.hostId !== undefined) checkId('host_id', request.hostId)
  if (request.taskId !== undefined) checkId('task_id', request.taskId)
  if (request.peerId !== undefined) checkId('peer_id', request.peerId)
}

export function checkAnnounceHost({ host, interval }: AnnounceHostRequest): void {
  if (host === undefined) throw wrong('host', 'is missing')
  checkHost('host', host)
  checkNumber('interval', interval?.seconds, 0, 7 * 86_400)
}

function checkHost(field: string, host: Host): void {
  checkId(`${field}.id`, host.id)
  checkId(`${field}.hostname`, host.hostname)
  checkNumber(`${field}.type`, host.type, 0, 3)
  if (isIP(host.ip) === 0) throw wrong(`${field}.ip`, `is ${JSON.stringify(host.ip.slice(0, 100))}, not an IP address`)
  checkNumber(`${field}.port`, host.port, 1, 65_535)
  checkNumber(`${field}.download_port`, host.downloadPort, 0, 65_535)
  checkText(`${field}.network.location`, host.network?.location, 512)
  checkText(`${field}.network.idc`, host.network?.idc, 512)
  checkBytes(`${field}.public_key`, host.publicKey, [0, 32])
}

export function checkDownloadTask({ download }: DownloadTaskRequest): void {
  checkDownload(download)
}

function checkDownload(download: Download | undefined): void {
  if (download === undefined) throw wrong('download', 'is missing')
  const { url, digest, range, filteredQueryParams } = download
  checkText('download.url', url, MAX_URL_CHARACTERS)
  if (!URL.canParse(url)) throw wrong('download.url', `is ${JSON.stringify(url.slice(0, 100))}, not scheme://host/path`)
  if (download.type !== TaskType.STANDARD) throw wrong('download.type', 'is not STANDARD, the only kind served here')
  checkNumber('download.priority', download.priority, 0, 6)
  if (digest !== undefined && digest !== '') checkDigest('download.digest', digest)
  if (range !== undefined) checkNumber('download.range', range.start + range.length - 1, range.start, MAX_SAFE)
  checkCount('download.filtered_query_params', filteredQueryParams, 64)
  for (const name of filteredQueryParams) checkText('download.filtered_query_params', name, 256)
  checkHeaders('download.request_header', download.requestHeader)
  checkCount('download.certificate_chain', download.certificateChain, 16)
  checkPieceLength('download.piece_length', download.pieceLength)
  checkNumber('download.actual_piece_length', download.actualPieceLength, 0, MAX_PIECE_LENGTH)
  checkNumber('download.rate_limit', download.rateLimit, 1, MAX_SAFE)
  checkDownloadTexts(download)
}

function checkDownloadTexts(download: Download): void {
  checkText('download.tag', download.tag, 1024)
  checkText('download.application', download.application, 1024)
  checkText('download.output_path', download.outputPath, 4096)
  checkText('download.content_for_calculating_task_id', download.contentForCalculatingTaskId, 4096)
  if (download.remoteIp) checkText('download.remote_ip', download.remoteIp, 64)
  checkValidators('download', download)
}

function checkValidators(
  field: string,
  { version, etag, lastModified }: { version?: string | undefined; etag: string; lastModified: string },
): void {
  checkText(`${field}.version`, version, 128)
  checkText(`${field}.etag`, etag, 1024)
  checkText(`${field}.last_modified`, lastModified, 128)
  if (/[\r\n]/.test(etag + lastModified)) throw wrong(`${field}.etag`, 'or last_modified has a line end')
}

function checkPieceLength(field: string, length: number | undefined): void {
  checkNumber(field, length, MIN_PIECE_LENGTH, MAX_PIECE_LENGTH)
}

function checkDigest(field: string, digest: string): void {
  try {
    parseDigest(digest.slice(0, 256))
  } catch (error) {
    throw wrong(field, `is wrong: ${messageOf(error)}`)
  }
}

export function checkAnnouncePeer(message: AnnouncePeerRequest): void {
  checkIds(message)
  const { request } = message
  switch (request?.$case) {
    case undefined:
      throw wrong('request', 'is missing')
    case 'registerPeerRequest':
      return checkDownload(request.value.download)
    case 'downloadPeerBackToSourceStartedRequest':
      return checkFacts('facts', request.value.facts)
    case 'reschedulePeerRequest':
      checkCount('candidate_parents', request.value.candidateParents, 100)
      return request.value.candidateParents.forEach((peer) => checkId('candidate_parents.id', peer.id))
    case 'downloadPieceFinishedRequest':
    case 'downloadPieceBackToSourceFinishedRequest':
      return checkPiece(request.value.piece)
    case 'downloadPieceFailedRequest':
      return checkText('parent_id', request.value.parentId, 512)
    case 'downloadPeerFailedRequest':
    case 'downloadPeerBackToSourceFailedRequest':
      return checkText('description', request.value.description, 16_384)
    default:
  }
}

function checkPiece(piece: Piece | undefined): void {
  if (piece === undefined) throw wrong('piece', 'is missing')
  checkNumber('piece.number', piece.number, 0, MAX_PIECES)
  checkNumber('piece.length', piece.length, 0, MAX_PIECE_LENGTH)
  checkText('piece.digest', piece.digest, 256)
  if (piece.parentId !== undefined) checkId('piece.parent_id', piece.parentId)
  if (piece.content !== undefined && piece.content.length > 0) throw wrong('piece.content', 'does not belong here')
}

function checkFacts(field: string, facts: TaskFacts | undefined): void {
  if (facts === undefined) return
  if (facts.pieceLength !== 0) checkPieceLength(`${field}.piece_length`, facts.pieceLength)
  checkValidators(field, facts)
  checkHeaders(`${field}.response_header`, facts.responseHeader)
  checkCount(`${field}.signers`, facts.signers, 64)
  for (const { hostId, publicKey } of facts.signers) {
    checkId(`${field}.signers.host_id`, hostId)
    checkBytes(`${field}.signers.public_key`, publicKey, [32])
  }
}

/** What a scheduler says is checked, too: it may be another's. */
export function checkAnnouncePeerResponse({ response }: AnnouncePeerResponse): void {
  if (response === undefined || response.$case === 'metadataOnlyResponse') return
  checkFacts('facts', response.value.facts)
  if (response.$case !== 'normalTaskResponse') return
  checkCount('candidate_parents', response.value.candidateParents, 100)
}

export function checkSyncPieces(request: SyncPiecesRequest): void {
  checkIds(request)
  checkCount('interested_piece_numbers', request.interestedPieceNumbers, MAX_PIECES)
  checkText('version', request.version, 128)
}

/** What a parent says of a piece. */
export function checkSyncPiecesResponse(response: SyncPiecesResponse): void {
  const { number, offset, length, tcpPort, record } = response
  checkNumber('number', number, 0, MAX_PIECES)
  checkNumber('offset', offset, 0, MAX_SAFE - MAX_PIECE_LENGTH)
  checkNumber('length', length, 0, MAX_PIECE_LENGTH)
  checkNumber('tcp_port', tcpPort, 0, 65_535)
  checkHeldBlocks(response)
  checkContent(response)
  checkMoreNews(response.more)
  if (record === undefined) return
  checkText('record.version', record.version, 128)
  checkId('record.signer', record.signer)
  checkPieceLength('record.piece_length', record.pieceLength)
  checkBytes('record.signature', record.signature, [64])
  checkBytes('record.blocks', record.blocks, [blockCount(length) * 32])
}

/** A bit for each block, and no other. */
function checkHeldBlocks({ length, heldBlocks, speaksBlocks }: SyncPiecesResponse): void {
  if (heldBlocks === undefined) return
  if (!speaksBlocks) throw wrong('held_blocks', 'is of no use without speaks_blocks')
  const count = blockCount(length)
  checkBytes('held_blocks', heldBlocks, [Math.ceil(count / 8)])
  if (count % 8 !== 0 && (heldBlocks.at(-1) ?? 0) >> (count % 8) !== 0)
    throw wrong('held_blocks', `has more than ${count} blocks`)
}

/** Of pieces that were told of before: whether these are their blocks shows when they are looked up. */
function checkMoreNews(more: SyncPiecesResponse['more']): void {
  checkCount('more', more, MAX_NEWS)
  for (const { number, heldBlocks } of more) {
    checkNumber('more.number', number, 0, MAX_PIECES)
    if (heldBlocks !== undefined && heldBlocks.length > MAX_BLOCK_BYTES)
      throw wrong('more.held_blocks', `has ${heldBlocks.length} bytes, more than ${MAX_BLOCK_BYTES}`)
  }
}

/** The bytes of the first piece, all of them, no more than a block. */
function checkContent({ number, offset, length, heldBlocks, content }: SyncPiecesResponse): void {
  if (content === undefined) return
  if (number !== 0 || offset !== 0 || heldBlocks !== undefined) throw wrong('content', 'belongs to a whole first piece')
  if (content.length > BLOCK_LENGTH) throw wrong('content', `has ${content.length} bytes, more than ${BLOCK_LENGTH}`)
  checkBytes('content', content, [length])
}

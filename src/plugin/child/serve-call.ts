import type { Socket } from 'node:net'
import { decodeHeader, decodeMessage, encodeHeader, encodeMessage, FRAME, FRAME_HEADER_BYTES } from '../apart/frames.ts'
import type { OpenAnswer, Question } from '../apart/messages.ts'
import { callMethod, downloadFor, entriesFor } from './call-client.ts'
import { deepFreeze, judgeParents } from './judge-parents.ts'
import { openModule } from './open-module.ts'
import { sendBody } from './send-body.ts'
import { writeAll } from './write-all.ts'
import { describeError } from './describe-error.ts'

let client: object = {}
let scheme = ''

/** Answers the one question of a connection. */
export function serveCall(socket: Socket): void {
  const abort = new AbortController()
  socket.on('error', () => undefined)
  socket.once('close', () => abort.abort())
  readQuestion(socket, (question) => {
    // The host says nothing more: the end of what it sends is the end of the call.
    socket.on('end', () => socket.destroy())
    socket.resume()
    answer(question, socket, abort.signal).then(
      () => socket.end(),
      (error: unknown) => socket.end(encodeMessage(FRAME.error, describeError(error, scheme))),
    )
  })
}

async function answer(question: Question, socket: Socket, signal: AbortSignal): Promise<void> {
  switch (question.ask) {
    case 'ping':
      return writeAll(socket, [encodeMessage(FRAME.json, {})])
    case 'open': {
      scheme = question.scheme
      const opened = await openModule(question)
      client = opened.client
      const { metadata, methods, hasSchema } = opened
      return writeAll(socket, [encodeMessage(FRAME.json, { metadata, methods, hasSchema } satisfies OpenAnswer)])
    }
    case 'call': {
      const result = await callMethod(client, question.method, question.request, question.info, signal)
      return writeAll(socket, [encodeMessage(FRAME.json, { result })])
    }
    case 'apply': {
      const result = await applyMethod(question.method, question.args)
      return writeAll(socket, [encodeMessage(FRAME.json, { result })])
    }
    case 'download': {
      const { head, body } = await downloadFor(client, question.request, signal)
      return sendBody(socket, encodeMessage(FRAME.json, head), body, signal)
    }
    case 'list':
      for await (const entry of entriesFor(client, question.request, signal))
        await writeAll(socket, [encodeMessage(FRAME.json, entry)])
      return writeAll(socket, [encodeHeader(FRAME.end, 0)])
  }
}

async function applyMethod(method: string, args: readonly unknown[]): Promise<unknown> {
  for (const arg of args) deepFreeze(arg)
  if (method === 'judgeParents') return judgeParents(client, args)
  const found: unknown = Reflect.get(client, method)
  if (typeof found !== 'function') throw new Error(`it has no method ${method}`)
  const result: unknown = await Reflect.apply(found, client, args)
  return result
}

/** The host is ours and says one question, whole; what else comes is nobody we know. */
function readQuestion(socket: Socket, understood: (question: Question) => void): void {
  let held = Buffer.alloc(0)
  const onData = (chunk: Buffer): void => {
    held = Buffer.concat([held, chunk])
    if (held.length < FRAME_HEADER_BYTES) return
    const header = decodeHeader(held)
    if (header?.kind !== FRAME.json) return void socket.destroy()
    if (held.length < FRAME_HEADER_BYTES + header.length) return
    socket.off('data', onData)
    const question = decodeMessage(held.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.length))
    if (isQuestion(question)) understood(question)
    else socket.destroy()
  }
  socket.on('data', onData)
}

function isQuestion(value: unknown): value is Question {
  return typeof value === 'object' && value !== null && 'ask' in value
}

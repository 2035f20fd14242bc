#!/usr/bin/env node
// The protoc plugin that buf.gen.yaml names: ts-proto, and one change to what it writes. `fromPartial` of ts-proto
// forgets fields that this version does not know. A Download is handed on to seeds of other versions, so they are kept.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { CodeGeneratorResponse } from 'ts-proto-descriptors'

const plugin = fileURLToPath(import.meta.resolve('ts-proto/protoc-gen-ts_proto'))
const run = spawnSync(process.execPath, [plugin], {
  input: readFileSync(0),
  maxBuffer: 64 * 2 ** 20,
  stdio: ['pipe', 'pipe', 'inherit'],
})
if (run.status !== 0) process.exit(run.status ?? 1)

const response = CodeGeneratorResponse.decode(run.stdout)
for (const file of response.file) file.content = keepUnknownFields(file.content)
process.stdout.write(CodeGeneratorResponse.encode(response).finish())

function keepUnknownFields(code) {
  const start = /( fromPartial\((\w+): DeepPartial<(\w+)>\): \w+ \{\n)(\s+const message = createBase\w+\(\);\n)/g
  const kept = code.replaceAll(start, (_, signature, argument, type, create) => {
    const object = argument === '_' ? 'object' : argument
    return `${signature.replace(`(${argument}:`, `(${object}:`)}${create}    if (${object}._unknownFields !== undefined) message._unknownFields = ${object}._unknownFields as ${type}["_unknownFields"];\n`
  })
  const made = code.match(/ fromPartial\(\w+: DeepPartial<\w+>\): \w+ \{/g)?.length ?? 0
  const changed = kept.match(/ as \w+\["_unknownFields"\];/g)?.length ?? 0
  if (made !== changed) throw new Error(`ts-proto writes fromPartial in another way now: ${changed} of ${made} changed`)
  return kept
}

import { PassThrough } from 'node:stream'
import { finished } from 'node:stream/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Prints } from './prints.ts'

/** What is told of chunks that come one by one. */
async function told(chunks: readonly Uint8Array[], scrub = (text: string) => text): Promise<string[]> {
  const lines: string[] = []
  const stream = new PassThrough()
  new Prints((line) => lines.push(line), scrub).follow(stream)
  for (const chunk of chunks) {
    stream.write(chunk)
    await new Promise(setImmediate)
  }
  stream.end()
  await finished(stream)
  await new Promise(setImmediate)
  return lines
}

test('property: lines are told whole, however the chunks fall, without empty ones', async () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'ü', '€', '😀', ' '), maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), fc.integer({ min: 1, max: 9 }), async (lines, size) => {
      const bytes = Buffer.from(lines.join('\n'))
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      )
      const whole = lines.map((text) => text.replace(/\s+/g, ' ').trim()).filter((text) => text !== '')
      expect(await told(chunks)).toEqual(whole)
    }),
    { numRuns: 100 },
  )
})

test('what would rewrite a terminal is told as what it is', async () => {
  expect(await told([Buffer.from('a\u001b[2Jb\u202ec\n')])).toEqual(['a\\u001b[2Jb\\u202ec'])
})

test('a secret that is longer than a line may be leaves nothing of it behind', async () => {
  const secret = 's3cr3t'.repeat(800)
  const scrub = (text: string): string => text.replaceAll(secret, '[hidden]')
  const text = Buffer.from(`the key is ${secret}\n`)
  expect(await told([text], scrub)).toEqual(['the key is [hidden]'])
  expect(await told([text.subarray(0, 3000), text.subarray(3000)], scrub)).toEqual(['the key is [hidden]'])
})

test('too much is left out, and how much is said at the end', async () => {
  const chunk = Buffer.from('x'.repeat(1023) + '\n')
  const lines = await told(Array.from({ length: 132 }, () => chunk))
  expect(lines.length).toBe(33)
  expect(lines[0]).toBe(`${'x'.repeat(500)}…`)
  expect(lines.at(-1)).toBe('(100.0 KiB more were printed and are left out)')
})

test('a line without an end takes no more memory than what may be told', async () => {
  const lines = await told(Array.from({ length: 100 }, () => Buffer.alloc(1000, 'x')))
  expect(lines).toEqual([expect.stringMatching(/^\(.* more were printed and are left out\)$/)])
})

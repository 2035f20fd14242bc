/** Header fields of HTTP/2 (RFC 7541), as much as a peer with a dynamic table of 0 bytes needs. */

/** The static table: names from 1 on, and the values that some of them have. */
const NAMES = (
  ':authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status :status ' +
  'accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow ' +
  'authorization cache-control content-disposition content-encoding content-language content-length content-location ' +
  'content-range content-type cookie date etag expect expires from host if-match if-modified-since if-none-match ' +
  'if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range ' +
  'referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via ' +
  'www-authenticate'
).split(' ')
const VALUES: Readonly<Record<number, string>> = {
  2: 'GET',
  3: 'POST',
  4: '/',
  5: '/index.html',
  6: 'http',
  7: 'https',
  8: '200',
  9: '204',
  10: '206',
  11: '304',
  12: '400',
  13: '404',
  14: '500',
  16: 'gzip, deflate',
}

/** Fields as literals that nobody remembers. */
export function encodeFields(fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(fields).flatMap(([name, value]) => [Buffer.of(0), ...text(name), ...text(value)]))
}

/** A length in as many bytes as it takes, and the bytes. */
function text(value: string): Buffer[] {
  const bytes = Buffer.from(value, 'latin1')
  if (bytes.length < 127) return [Buffer.of(bytes.length), bytes]
  const length = [127]
  let left = bytes.length - 127
  for (; left >= 128; left >>= 7) length.push((left & 127) | 128)
  return [Buffer.of(...length, left), bytes]
}

/** The fields of a header block; of those that come twice the last one. Throws for what cannot be read. */
export function decodeFields(block: Uint8Array): Record<string, string> {
  const reader = new BlockReader(block)
  const fields: [string, string][] = []
  while (!reader.done) {
    const field = reader.field()
    if (field !== undefined) fields.push(field)
  }
  return Object.fromEntries(fields)
}

class BlockReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Undefined for what is no field but a word about the table. */
  field(): [string, string] | undefined {
    const first = this.#bytes[this.#at] ?? 0
    if (first >= 0x80) {
      const index = this.#integer(7)
      return [nameOf(index), VALUES[index] ?? '']
    }
    if (first >= 0x20 && first < 0x40) {
      if (this.#integer(5) > 0) throw new Error('it remembers header fields that it was asked to forget')
      return undefined
    }
    const index = this.#integer(first >= 0x40 ? 6 : 4)
    const name = index === 0 ? this.#text() : nameOf(index)
    return [name, this.#text()]
  }

  #integer(bits: number): number {
    const most = 2 ** bits - 1
    let value = this.#byte() & most
    if (value < most) return value
    for (let shift = 0; shift <= 14; shift += 7) {
      const byte = this.#byte()
      value += (byte & 127) << shift
      if (byte < 128) return value
    }
    throw new Error('a header field has a number that is too large')
  }

  #text(): string {
    const coded = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0
    const length = this.#integer(7)
    const bytes = this.#bytes.subarray(this.#at, this.#at + length)
    if (bytes.length < length) throw new Error('a header field is cut off')
    this.#at += length
    return coded ? decodeHuffman(bytes) : Buffer.from(bytes).toString('latin1')
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new Error('a header field is cut off')
    return byte
  }
}

function nameOf(index: number): string {
  const name = NAMES[index - 1]
  if (name === undefined) throw new Error(`there is no header field ${index}`)
  return name
}

/**
 * The characters of each code length in the order of their codes, which are numbers that count on from length to length.
 * Those with longer codes are no ASCII, and in no header of ours.
 */
const BY_LENGTH: Readonly<Record<number, string>> = {
  5: '012aceiost',
  6: ' %-./3456789=A_bdfghlmnpru',
  7: ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz',
  8: '&*,;XZ',
  10: '!"()?',
  11: "'+|",
  12: '#>',
  13: '\0$@[]~',
  14: '^}',
  15: '<`{',
  19: '\\',
}
const LONGEST = 19

function decodeHuffman(bytes: Uint8Array): string {
  let decoded = ''
  let code = 0
  let length = 0
  let first = 0
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    code = (code << 1) | (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1)
    first <<= 1
    const characters = BY_LENGTH[++length] ?? ''
    if (code - first < characters.length) {
      decoded += characters[code - first]
      code = length = first = 0
    } else if (length > LONGEST) throw new Error('a header field has characters that are not known here')
    else first += characters.length
  }
  // What is left is padding: ones, less than a byte.
  if (length > 7 || code !== 2 ** length - 1) throw new Error('a header field is cut off')
  return decoded
}

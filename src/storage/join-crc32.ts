/*
 * A CRC-32 is the remainder of its bytes, read as a polynomial over GF(2), by P. Bytes that follow multiply what stood
 * before them by x once per bit; so parts that were digested apart are joined by one multiplication.
 *
 * Bit 31 of a number stands for x^0, bit 0 for x^31, as in every CRC-32/ISO-HDLC.
 */
const P = 0xedb88320
const ONE = 0x80000000
const X = 0x40000000

/** x to the power of 2^k, modulo P, at index k: for every length that can be stored. */
const POWERS = new Uint32Array(56)
POWERS[0] = X
for (let k = 1; k < POWERS.length; k++) POWERS[k] = multiply(POWERS[k - 1] ?? 0, POWERS[k - 1] ?? 0)

/** The CRC-32 of some bytes and `length` more, from the CRC-32s of both. A length that is a power of two is fast. */
export function joinCrc32(before: number, behind: number, length: number): number {
  return (multiply(shiftBy(length), before) ^ behind) >>> 0
}

/** What `length` bytes do to the remainder of those before them. */
function shiftBy(length: number): number {
  let product = ONE
  for (let k = 3, rest = length; rest > 0; k++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 0) continue
    const power = POWERS[k] ?? 0
    product = product === ONE ? power : multiply(product, power)
  }
  return product
}

/** Modulo P. */
function multiply(a: number, b: number): number {
  let product = 0
  for (let left = a, power = b; left !== 0; left <<= 1) {
    if ((left & ONE) !== 0) product ^= power
    power = (power & 1) === 0 ? power >>> 1 : (power >>> 1) ^ P
  }
  return product >>> 0
}

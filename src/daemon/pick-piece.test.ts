import { expect, test } from 'vitest'
import { type Holder, pickPiece } from './pick-piece.ts'

const holder = (id: string, over: Partial<Holder> = {}): Holder => ({ id, inFlight: 0, rate: 0, slots: 2, ...over })
const a = holder('a')
const b = holder('b')
const full = holder('full', { inFlight: 2 })

function pick(has: Record<number, readonly Holder[]>, options: { inOrder?: boolean; random?: () => number } = {}) {
  return pickPiece({
    open: Object.keys(has).map(Number),
    holders: (number) => has[number] ?? [],
    inOrder: options.inOrder ?? false,
    random: options.random ?? (() => 0.5),
  })
}

test('the piece that the fewest parents have goes first', () => {
  expect(pick({ 0: [a, b], 1: [b], 2: [a, b] })).toEqual({ number: 1, parent: b })
})

test('a reader that follows along gets the lowest piece first', () => {
  expect(pick({ 3: [a, b], 4: [b] }, { inOrder: true })?.number).toBe(3)
})

test('a parent whose slots are taken is asked for nothing more', () => {
  expect(pick({ 0: [full] })).toBeUndefined()
  expect(pick({ 0: [full, a] })?.parent).toBe(a)
})

test('of two parents with the same queue the faster one is asked', () => {
  const slow = holder('slow', { rate: 10 })
  const fast = holder('fast', { rate: 1000 })
  expect(pick({ 0: [slow, fast] })?.parent).toBe(fast)
})

test('hosts that start together ask for different pieces', () => {
  const everything = Object.fromEntries(Array.from({ length: 50 }, (_, number) => [number, [a]]))
  const chosen = new Set(Array.from({ length: 40 }, () => pick(everything, { random: Math.random })?.number))
  expect(chosen.size).toBeGreaterThan(10)
})

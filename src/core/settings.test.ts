import { expect, test } from 'vitest'
import { choice, duration, flag, flattenSettings, list, number, resolveSettings, size, text } from './settings.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts'

const declared = {
  dir: text('/var', 'Where.'),
  storage: {
    capacity: size(2 ** 30, 'How much.'),
    ttl: duration(60_000, 'How long.'),
    workers: number(4, 'How many.', { min: 1, max: 8 }),
  },
  seed: flag(false, 'Whether.'),
  mode: choice('fast', ['fast', 'safe'], 'Which.'),
  peers: list([], 'Who.'),
}

test('what is not set has its default, what is set has its type, and the last layer wins', () => {
  const settings = resolveSettings(declared, [
    { storage: { capacity: '1MiB', workers: 2 } },
    { storage: { capacity: '20GiB' }, peers: 'a, b' },
  ])
  expect(settings).toEqual({
    dir: '/var',
    storage: { capacity: 20 * 2 ** 30, ttl: 60_000, workers: 2 },
    seed: false,
    mode: 'fast',
    peers: ['a', 'b'],
  })
  expect(Object.isFrozen(settings.storage)).toBe(true)
})

test('every mistake is told at once, with its key, its value and the reason', () => {
  const wrong = { Seed: true, storage: { capacity: 'much', workers: 9, extra: 1 }, mode: 'odd', peers: {} }
  const told = (() => {
    try {
      return resolveSettings(declared, [wrong])
    } catch (error) {
      return String(error)
    }
  })()
  for (const part of [
    'Seed: there is no such setting; did you mean seed?',
    'storage.capacity: "much" is not a size',
    'storage.workers: 9 is not between 1 and 8',
    'storage.extra: there is no such setting',
    'mode: "odd" is none of fast, safe',
    'peers: {}',
  ])
    expect(told).toContain(part)
})

test('zero is a legal choice', () => {
  expect(resolveSettings(declared, [{ storage: { ttl: 0 } }]).storage.ttl).toBe(0)
})

test('a key that every object inherits is no setting', () => {
  expect(() => resolveSettings(declared, [JSON.parse('{"__proto__": 1, "constructor": 2}')])).toThrow(/no such setting/)
})

test('settings are listed by their dotted keys', () => {
  expect(flattenSettings(declared).map(([key]) => key)).toEqual([
    'dir',
    'storage.capacity',
    'storage.ttl',
    'storage.workers',
    'seed',
    'mode',
    'peers',
  ])
})

test.each([
  ['20GiB', 20 * 2 ** 30],
  ['512k', 512 * 1024],
  ['1.5M', 1.5 * 2 ** 20],
  ['1000', 1000],
  ['0', 0],
])('the size %s is %i bytes', (written, bytes) => {
  expect(parseSize(written)).toBe(bytes)
  expect(parseSize(formatSize(bytes))).toBe(bytes)
})

test.each([
  ['90s', 90_000],
  ['1m30s', 90_000],
  ['250ms', 250],
  ['0', 0],
  ['2', 2000],
  ['1.5h', 5_400_000],
])('the duration %s is %i ms', (written, ms) => {
  expect(parseDuration(written)).toBe(ms)
  expect(parseDuration(formatDuration(ms))).toBe(ms)
})

test.each(['', '-1', '5 parsecs', 'MiB', '1e3', '1m2'])('%j is neither a size nor a duration', (written) => {
  expect(() => parseSize(written)).toThrow()
  expect(() => parseDuration(written)).toThrow()
})

test.each(['9007199254740992', '9999999999TiB', '9'.repeat(400)])('the size %s is more than can be counted', (text) => {
  expect(() => parseSize(text)).toThrow(/is too much; at most 9007199254740991 bytes/)
})

test.each(['9007199254741', '104249991375d', '104249991374d1d'])(
  'the duration %s is more than can be counted',
  (text) => {
    expect(() => parseDuration(text)).toThrow(/is too much; at most 9007199254740991 milliseconds/)
  },
)

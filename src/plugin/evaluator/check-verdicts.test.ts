import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkVerdicts, InvalidVerdicts } from './check-verdicts.ts'

test('scores alone, or with words about who is bad, are verdicts', () => {
  expect(checkVerdicts({ scores: [1, -2.5], bad: [] }, 2)).toEqual([
    { score: 1, bad: false },
    { score: -2.5, bad: false },
  ])
  expect(checkVerdicts({ scores: [0], bad: [true] }, 1)).toEqual([{ score: 0, bad: true }])
})

test.each([
  [{ scores: [1], bad: [] }, 'it scored 1 of 2 parents'],
  [{ scores: [1, 2, 3], bad: [] }, 'it scored 3 of 2 parents'],
  [{ scores: 'ab', bad: [] }, 'it scored 0 of 2 parents'],
  [{ scores: [1, 'NaN'], bad: [] }, 'it scored a parent NaN, expected a finite number'],
  [{ scores: ['-Infinity', 2], bad: [] }, 'it scored a parent -Infinity, expected a finite number'],
  [{ scores: [null, 2], bad: [] }, 'it scored a parent null, expected a finite number'],
  [{ scores: ['1', 2], bad: [] }, 'it scored a parent "1", expected a finite number'],
  [{ scores: [1, 2], bad: [true] }, 'it called bad or not 1 of 2 parents'],
  [{ scores: [1, 2], bad: [true, 1] }, 'isBadParent gave a number, expected true or false'],
  [undefined, 'it scored 0 of 2 parents'],
])('%j is no answer for two parents', (answer, message) => {
  expect(() => checkVerdicts(answer, 2)).toThrow(new InvalidVerdicts(message))
})

test('whatever an evaluator’s process says gives as many finite scores as there are parents, or nothing', () => {
  fc.assert(
    fc.property(fc.anything(), fc.integer({ min: 0, max: 3 }), (answer, parents) => {
      try {
        const verdicts = checkVerdicts(answer, parents)
        expect(verdicts).toHaveLength(parents)
        for (const { score, bad } of verdicts) expect([Number.isFinite(score), typeof bad]).toEqual([true, 'boolean'])
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidVerdicts)
      }
    }),
  )
})

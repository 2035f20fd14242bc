import { expect, test } from 'vitest'
import { Scope } from './scope.ts'

test('what is owned is closed in the reverse of the order it was taken', async () => {
  const closed: string[] = []
  {
    await using scope = new Scope()
    scope.own({ [Symbol.asyncDispose]: async () => void closed.push('first') })
    scope.own({ [Symbol.dispose]: () => void closed.push('second') })
    scope.defer(() => closed.push('third'))
  }
  expect(closed).toEqual(['third', 'second', 'first'])
})

test('one that cannot be closed keeps none of the others open, and is told of', async () => {
  const closed: string[] = []
  const scope = new Scope()
  scope.defer(() => closed.push('first'))
  scope.defer(() => Promise.reject(new Error('stuck')))
  await expect(scope[Symbol.asyncDispose]()).rejects.toMatchObject({ errors: [{ message: 'stuck' }] })
  expect(closed).toEqual(['first'])
})

test('closing again closes nothing twice', async () => {
  let times = 0
  const scope = new Scope()
  scope.defer(() => times++)
  await scope[Symbol.asyncDispose]()
  await scope[Symbol.asyncDispose]()
  expect(times).toBe(1)
})

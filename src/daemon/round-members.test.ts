import { expect, test } from 'vitest'
import { RoundMembers } from './round-members.ts'
import { parent } from './swarm-fixture.ts'

function full({ alone = [] as string[] } = {}) {
  const left: string[] = []
  const members = new RoundMembers({
    canGive: (id, how) => how === 'alone' && alone.includes(id),
    leave: (id) => void left.push(id),
  })
  const all = Array.from({ length: 24 }, (_, n) => members.add(parent(`p${n}`), { instead: false }))
  for (const [n, member] of all.entries()) if (member !== undefined) member.usefulAtMs = n
  const id = (n: number): string => parent(`p${n}`).id
  return { members, left, id }
}

test('a full round has no room for the rest of the same plan', () => {
  const { members, left } = full()
  expect(members.add(parent('more'), { instead: false })).toBeUndefined()
  expect(left).toEqual([])
})

test('who comes later takes the place of the one that was of no use for longest, which may come back', () => {
  const { members, left, id } = full()
  const old = members.get(id(0))
  expect(members.add(parent('later'), { instead: true })?.id).toBe(parent('later').id)
  expect(left).toEqual([id(0)])
  expect(old?.gone.aborted).toBe(true)
  expect(members.here).toHaveLength(24)
  expect(members.add(parent('p0'), { instead: true })?.id).toBe(id(0))
  expect(left).toEqual([id(0), id(1)])
})

test('who alone has something that is to come keeps its place', () => {
  const alone = [0, 1].map((n) => parent(`p${n}`).id)
  const { members, left, id } = full({ alone })
  members.add(parent('later'), { instead: true })
  expect(left).toEqual([id(2)])
})

test('who left for a fault does not come back', () => {
  const { members, id } = full()
  members.get(id(3))?.leave()
  expect(members.add(parent('p3'), { instead: true })).toBeUndefined()
})

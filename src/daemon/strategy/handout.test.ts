import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Handout } from './handout.ts'

/** Blocks of a piece. */
const PIECE = 8

/** A parent with children that draw what they are told of. */
class Desk {
  nowMs = 0
  readonly handout = new Handout({ now: () => this.nowMs })
  readonly told = new Map<string, number[]>()
  readonly woken = new Set<string>()

  join(id: string, wants: (number: number) => boolean = () => true): void {
    this.told.set(id, [])
    this.handout.join(id, { wants, wake: () => this.woken.add(id) })
  }

  add(...numbers: number[]): void {
    for (const number of numbers) this.handout.add(number, PIECE)
  }

  /** What it is told of now. */
  ask(id: string): number[] {
    this.woken.delete(id)
    const numbers = this.handout.next(id)
    this.told.get(id)?.push(...numbers)
    return numbers
  }

  /** All of it goes out. */
  draw(number: number): void {
    this.handout.asked(number, 0, PIECE)
    this.handout.sent(number, PIECE)
  }

  all(id: string): number[] {
    return (this.told.get(id) ?? []).toSorted((a, b) => a - b)
  }
}

const range = (count: number): number[] => Array.from({ length: count }, (_, number) => number)

test('children are told of different pieces first, two each, in turn', () => {
  const desk = new Desk()
  desk.add(...range(10))
  for (const id of ['a', 'b', 'c']) desk.join(id)
  const told = ['a', 'b', 'c'].map((id) => desk.ask(id))
  expect(told).toEqual([
    [0, 1],
    [2, 3],
    [4, 5],
  ])
})

test('who draws a piece gets the next fresh one, and is woken for it', () => {
  const desk = new Desk()
  desk.add(...range(10))
  desk.join('a')
  desk.join('b')
  desk.ask('a')
  desk.ask('b')
  desk.nowMs = 500
  desk.handout.asked(2, 0, PIECE)
  desk.handout.sent(2, PIECE - 1)
  expect(desk.woken).toEqual(new Set())
  desk.handout.sent(2, 1)
  expect(desk.woken).toEqual(new Set(['b']))
  expect(desk.ask('b')).toEqual([4])
  expect(desk.ask('a')).toEqual([])
})

test('a piece that comes later goes to who waited longest', () => {
  const desk = new Desk()
  for (const id of ['a', 'b']) desk.join(id)
  desk.add(0)
  desk.add(1)
  expect([desk.ask('a'), desk.ask('b')]).toEqual([[0], [1]])
})

test('old pieces are told to who has nothing of its own when they had time to spread, and at once when everything was sent', () => {
  const desk = new Desk()
  desk.add(...range(4))
  for (const id of ['a', 'b']) desk.join(id)
  expect([desk.ask('a'), desk.ask('b')]).toEqual([
    [0, 1],
    [2, 3],
  ])
  desk.draw(0)
  desk.nowMs = 4999
  for (const number of [1, 2, 3]) desk.handout.asked(number, 0, PIECE)
  expect(desk.ask('b')).toEqual([])
  desk.nowMs = 5000
  expect(desk.ask('b')).toEqual([])
  for (const number of [2, 3]) desk.draw(number)
  expect(desk.ask('b')).toEqual([0])
  desk.draw(1)
  desk.add(4, 5)
  desk.ask('a')
  desk.ask('b')
  desk.handout.close()
  expect(desk.woken).toEqual(new Set())
  for (const number of [4, 5]) desk.draw(number)
  expect(desk.woken).toEqual(new Set(['a', 'b']))
  desk.ask('a')
  desk.ask('b')
  expect([desk.all('a'), desk.all('b')]).toEqual([range(6), range(6)])
})

test('a single fast child is never throttled: its window follows its pace', () => {
  const desk = new Desk()
  desk.add(...range(2000))
  desk.join('a')
  let open = desk.ask('a')
  let rounds = 0
  for (; desk.handout.fresh > 0; rounds++) {
    // All it knows of in 2 ms each: 2 GiB/s.
    for (const number of open) {
      desk.nowMs += 2
      desk.draw(number)
    }
    open = desk.ask('a')
  }
  expect(rounds).toBeLessThan(60)
})

test('what a child does not ask for within a second is given to another one, at once where the child has left', () => {
  const desk = new Desk()
  desk.add(...range(4))
  desk.join('dead')
  expect(desk.ask('dead')).toEqual([0, 1])
  desk.join('a')
  desk.join('b')
  expect(desk.ask('a')).toEqual([2, 3])
  desk.nowMs = 999
  desk.handout.asked(2, 0, 1)
  expect(desk.ask('b')).toEqual([])
  desk.nowMs = 1300
  expect(desk.ask('b')).toEqual([0, 1])
  desk.handout.leave('b')
  for (const number of [2, 3]) desk.draw(number)
  expect(desk.ask('a')).toEqual([0, 1])
})

test('a child that has asked keeps its turn, though the parent is slow to send', () => {
  const desk = new Desk()
  desk.add(...range(100))
  const ids = range(20).map(String)
  for (const id of ids) desk.join(id)
  const first = ids.map((id) => desk.ask(id)[0] as number)
  for (const number of first) desk.handout.asked(number, 0, 1)
  // A block each 200 ms: each child has one in four seconds.
  for (let at = 0; at < 60; at++) {
    desk.nowMs += 200
    desk.handout.sent(first[at % 20] as number, 1)
    desk.handout.asked(first[at % 20] as number, 1 + Math.floor(at / 20), 1)
    desk.ask(ids[(at * 7) % 20] as string)
  }
  expect(ids.map((id) => desk.all(id).length)).toEqual(ids.map(() => 2))
})

test('a child that has asked, and takes nothing for half a minute, loses its turn', () => {
  const desk = new Desk()
  desk.add(0)
  desk.join('stuck')
  desk.ask('stuck')
  desk.handout.asked(0, 0, 2)
  desk.nowMs = 30_001
  desk.join('a')
  expect(desk.ask('a')).toEqual([0])
})

test('a block that is sent twice does not stand for one that was not sent', () => {
  const desk = new Desk()
  desk.add(0)
  desk.join('a')
  desk.ask('a')
  for (const first of [0, 0, 0, 3]) {
    desk.handout.asked(0, first, 4)
    desk.handout.sent(0, 4)
  }
  expect(desk.handout.fresh).toBe(1)
  desk.handout.asked(0, 7, 1)
  desk.handout.sent(0, 1)
  expect(desk.handout.fresh).toBe(0)
})

test('what its owner is slow to draw is told to idle children: to one, and to another one ever later', () => {
  const desk = new Desk()
  desk.add(...range(3))
  for (const id of ['slow', 'a', 'b', 'c']) desk.join(id, (number) => id === 'slow' || number < 2)
  for (const id of ['slow', 'a', 'b', 'c']) desk.ask(id)
  const told = (): number => ['a', 'b', 'c'].reduce((sum, id) => sum + desk.all(id).length, 0)
  const before = told()
  const counts: number[] = []
  for (let second = 0; second < 8; second++) {
    desk.nowMs += 1000
    for (const number of range(3)) {
      desk.handout.asked(number, 0, 1)
      desk.handout.sent(number, 1)
    }
    for (const id of ['a', 'b', 'c']) desk.ask(id)
    counts.push(told() - before)
  }
  expect(counts).toEqual([1, 1, 2, 2, 2, 2, 3, 3])
})

test('once no more pieces come, who has drawn its own helps with those of others, but not a crowd', () => {
  const desk = new Desk()
  const ids = range(12).map((index) => `child ${index}`)
  for (const id of ids) desk.join(id)
  desk.add(...range(24))
  for (const id of ids) desk.ask(id)
  for (const number of [0, 1, 2, 3, 4, 12, 13, 14, 15, 16]) desk.draw(number)
  expect(desk.ask('child 0')).toEqual([]) // more may come
  desk.handout.close()
  const left = [5, 6, 7, 8, 9, 10, 11, 17, 18, 19, 20, 21, 22, 23]
  expect(desk.ask('child 0')).toEqual(left)
  expect(ids.slice(1, 5).map((id) => desk.ask(id))).toEqual([[], [], [], []]) // seven owners draw, and it
  desk.handout.asked(5, 0, PIECE - 1) // all but one of its blocks: no work for two
  desk.draw(6)
  desk.handout.leave('child 0')
  expect(desk.ask('child 1')).toEqual(left.slice(2))
})

test('a piece that nobody draws is told to everybody in the end', () => {
  const desk = new Desk()
  desk.add(0)
  for (const id of ['a', 'b', 'c', 'd', 'e']) desk.join(id)
  for (let at = 0; at < 40; at++) {
    desk.nowMs += 500
    for (const id of desk.told.keys()) desk.ask(id)
  }
  for (const id of desk.told.keys()) expect(desk.all(id)).toEqual([0])
})

test('a child that wants a few pieces gets those, though others are before it', () => {
  const desk = new Desk()
  desk.add(...range(500))
  for (const id of ['a', 'b']) desk.join(id)
  desk.ask('a')
  desk.draw(0)
  desk.join('some', (number) => number === 0 || number === 321)
  expect(desk.ask('some')).toEqual([321])
  desk.nowMs = 5000
  expect(desk.ask('some')).toEqual([0])
})

test('a child that left is told of nothing, and one in its place anew', () => {
  const desk = new Desk()
  desk.add(0, 1)
  desk.join('a')
  expect(desk.ask('a')).toEqual([0, 1])
  desk.handout.leave('a')
  expect(desk.ask('a')).toEqual([])
  desk.join('a')
  expect(desk.ask('a')).toEqual([0, 1])
})

test('nobody is told of a piece twice or of one that is not wanted, and in bounded time everybody of everything', () => {
  const event = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('draw' as const),
        child: fc.nat(5),
        part: fc.nat(3),
        whole: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('add' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(2500) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom('join' as const, 'leave' as const), child: fc.nat(5) }),
    },
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), fc.integer({ min: 1, max: 4 }), (events, step) => {
      const desk = new Desk()
      const wants = (child: number) => (number: number) => child < 4 || number % step === 0
      let pieces = 0
      const askAll = (): void => {
        for (const id of desk.told.keys()) desk.ask(id)
      }
      for (const one of events) {
        if (one.kind === 'add') desk.add(pieces++)
        else if (one.kind === 'wait') desk.nowMs += one.ms
        else if (one.kind === 'join') desk.join(`${one.child}`, wants(one.child))
        else if (!('part' in one)) {
          desk.handout.leave(`${one.child}`)
          desk.told.delete(`${one.child}`)
        } else {
          const [number] = desk.told.get(`${one.child}`)?.slice(-1 - one.part) ?? []
          if (number !== undefined) {
            desk.handout.asked(number, one.part * 2, 2)
            desk.handout.sent(number, 2)
          }
        }
        askAll()
      }
      // Nobody draws anything any more.
      for (let at = 0; at < 60 + 10 * pieces; at++) {
        desk.nowMs += 500
        askAll()
      }
      for (const id of desk.told.keys()) expect(desk.all(id)).toEqual(range(pieces).filter(wants(Number(id))))
    }),
    { numRuns: 200 },
  )
})

test('where nobody is slow, every piece leaves once before any leaves twice', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.nat(11), { minLength: 1000, maxLength: 1000 }),
      (children, pieces, turns) => {
        const desk = new Desk()
        const todo = range(children).map(() => [] as number[])
        const drawn: number[] = []
        for (let child = 0; child < children; child++) desk.join(`${child}`)
        for (const [at, turn] of turns.entries()) {
          if (at < pieces) desk.add(at)
          for (const [id, list] of todo.entries()) list.push(...desk.ask(`${id}`))
          const number = todo[turn % children]?.shift()
          desk.nowMs += 3
          if (desk.handout.fresh === 0) return
          if (number === undefined || drawn.includes(number)) continue
          desk.draw(number)
          drawn.push(number)
        }
        const fresh = todo.flat().filter((number) => !drawn.includes(number))
        expect(new Set(fresh).size).toBe(fresh.length)
      },
    ),
    { numRuns: 100 },
  )
})

test('a thousand children and 2,560 pieces cost microseconds each, and nothing is kept of who has left', () => {
  const desk = new Desk()
  desk.add(...range(2560))
  const queues = range(1000).map(() => [] as number[])
  for (let child = 0; child < 1000; child++) desk.join(`${child}`)
  for (let round = 0; desk.handout.fresh > 0 && round < 100; round++) {
    for (const [child, list] of queues.entries()) {
      list.push(...desk.ask(`${child}`))
      const number = list.shift()
      desk.nowMs += 1
      if (number !== undefined) desk.draw(number)
    }
  }
  expect(desk.handout.fresh).toBe(0)
  desk.handout.close()
  for (let child = 0; child < 1000; child++) desk.ask(`${child}`)
  expect(desk.all('0')).toEqual(range(2560))
  expect(desk.all('999')).toEqual(range(2560))
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Crowd, type Member, PIECES } from './testkit/crowd.ts'

const LONG_TICKS = 300

test('everybody gets everything from one that reads the origin, and it is read once', async () => {
  const crowd = new Crowd()
  for (let index = 0; index < 8; index++) crowd.join(`h${index}`)
  await crowd.run(LONG_TICKS)
  expect([crowd.over, crowd.readOrigin, crowd.mostReaders]).toEqual([true, PIECES, 1])
})

test('when who reads the origin dies, and the others have only each other, one of them reads what they all lack', async () => {
  const crowd = new Crowd()
  const members = Array.from({ length: 6 }, (_, index) => crowd.join(`h${index}`))
  await crowd.run(LONG_TICKS, (tick) => {
    if (tick === 4) for (const member of members) if (member.peer.state === 'back-to-source') crowd.die(member)
  })
  const living = members.filter(({ alive }) => alive)
  // They are each other's parents: with nobody above them, none would ever get what none has.
  expect(living.filter(({ readOrigin }) => readOrigin > 0)).toHaveLength(1)
  expect([crowd.over, crowd.mostReaders]).toEqual([true, 1])
  expect(crowd.readOrigin).toBeLessThan(2 * PIECES)
})

test('the same when its host loses its power, and only those who fetch from it can tell', async () => {
  const crowd = new Crowd()
  const done = crowd.join('done')
  await crowd.run(PIECES + 1)
  const others = ['a', 'b'].map((id) => crowd.join(id))
  await crowd.run(LONG_TICKS, (tick) => {
    if (tick === 3) crowd.vanish(done)
  })
  expect(others.map(({ has }) => has.size)).toEqual([PIECES, PIECES])
  expect(others.filter(({ readOrigin }) => readOrigin > 0)).toHaveLength(1)
})

test('in a part of the net from which nobody can be reached who has anything, one reads the origin', async () => {
  const crowd = new Crowd()
  const [near, far] = ['near', 'far'].map((side) =>
    Array.from({ length: 4 }, (_, index) => crowd.join(`${side}${index}`)),
  ) as [Member[], Member[]]
  for (const member of far) for (const other of near) member.unreachable.add(other)
  for (const member of near) for (const other of far) member.unreachable.add(other)
  await crowd.run(LONG_TICKS)
  expect(crowd.over).toBe(true)
  expect([near, far].map((side) => side.filter(({ readOrigin }) => readOrigin > 0).length)).toEqual([1, 1])
})

test('peers that gave each other up are named to each other again once one of them reads the origin', async () => {
  const crowd = new Crowd()
  crowd.patienceTicks = 2
  const [root, a, b] = ['root', 'a', 'b'].map((id) => crowd.join(id)) as [Member, Member, Member]
  await crowd.run(LONG_TICKS, (tick) => {
    if (tick === 3) crowd.vanish(root)
  })
  expect([a, b].map(({ has }) => has.size)).toEqual([PIECES, PIECES])
  expect([a, b].filter(({ readOrigin }) => readOrigin > 0)).toHaveLength(1)
})

test('a root that may have no more children is one all the same: nobody else reads the origin', async () => {
  const crowd = new Crowd()
  crowd.loop.net.host('root', { uploadLimit: 1 })
  crowd.join('root')
  for (let index = 0; index < 5; index++) crowd.join(`h${index}`)
  await crowd.run(LONG_TICKS)
  expect([crowd.over, crowd.readOrigin]).toEqual([true, PIECES])
})

test('whoever dies whenever, all others end, and never do two read the origin at once', async () => {
  const event = fc.record({
    tick: fc.nat(60),
    who: fc.nat(11),
    what: fc.constantFrom('join' as const, 'die' as const, 'die' as const, 'die if it reads' as const),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 8 }),
      fc.array(event, { maxLength: 12 }),
      fc.integer({ min: 1, max: 2 ** 31 - 2 }),
      async (first, events, seed) => {
        let state = seed
        const random = (): number => (state = (state * 48_271) % (2 ** 31 - 1)) / (2 ** 31 - 1)
        const crowd = new Crowd({}, random)
        for (let index = 0; index < first; index++) crowd.join(`h${index}`)
        await crowd.run(LONG_TICKS, (tick) => {
          for (const { what, who } of events.filter((each) => each.tick === tick)) {
            const member = crowd.members[who % crowd.members.length]
            if (what === 'join') crowd.join(`late${crowd.members.length}`)
            else if (member !== undefined && (what === 'die' || member.peer.state === 'back-to-source'))
              crowd.die(member)
          }
        })
        expect(crowd.members.map(({ failure }) => failure).filter((failure) => failure !== undefined)).toEqual([])
        expect([crowd.over, crowd.mostReaders <= 1]).toEqual([true, true])
      },
    ),
    { numRuns: 60 },
  )
})

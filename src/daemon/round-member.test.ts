import { expect, test } from 'vitest'
import { RoundMember } from './round-member.ts'
import { parent } from './swarm-fixture.ts'

test('a parent that lost all it was asked for at the same time is not left for it, one that goes on telling is', () => {
  const member = new RoundMember(parent('a'))
  const together = { askedAtMs: performance.now() - 1 }
  for (let n = 0; n < 32; n++) expect(member.missed(together)).toBe(false)
  const again = () => member.missed({ askedAtMs: performance.now() })
  expect([again(), again()]).toEqual([false, true])
})

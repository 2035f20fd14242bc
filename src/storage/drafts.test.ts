import { expect, test } from 'vitest'
import { Drafts } from './drafts.ts'
import { PIECE } from './testing.ts'

function draftsOf(): Drafts {
  return new Drafts(PIECE, {
    contentLength: undefined,
    held: () => false,
    keep: async () => undefined,
    tellBlock: () => undefined,
  })
}

test('all who write a piece at the same time share its draft, and when all have gone nothing of it is left', () => {
  const drafts = draftsOf()
  const draft = drafts.join(3)
  expect(drafts.join(3)).toBe(draft)
  drafts.leave(draft)
  expect(drafts.join(3)).toBe(draft)
  drafts.leave(draft)
  drafts.leave(draft)
  expect(drafts.join(3)).not.toBe(draft)
})

test('who still writes what is held by now leaves the draft of those who write it anew alone', () => {
  const drafts = draftsOf()
  const old = drafts.join(3)
  drafts.done(3)
  const fresh = drafts.join(3)
  expect(fresh).not.toBe(old)
  drafts.leave(old)
  expect(drafts.join(3)).toBe(fresh)
})

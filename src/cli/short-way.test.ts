import { expect, test, vi } from 'vitest'
import { shortWay } from './short-way.ts'

test.each([
  [['daemon']],
  [['plugin', 'list']],
  [['plugni']],
  [['help']],
  [['--help']],
  [['-h', 'http://host/f']],
  [['--version']],
  [['--no-such-flag', 'http://host/f']],
  [['http://host/f', 'http://host/g']],
  [['http://host/f', '-O']],
  [['--verbose', 'daemon']],
])('%j is left to the whole program, without a word', async (argv) => {
  const [out, err] = [vi.spyOn(process.stdout, 'write'), vi.spyOn(process.stderr, 'write')]
  try {
    expect(await shortWay(argv)).toBe(false)
    expect(out).not.toHaveBeenCalled()
    expect(err).not.toHaveBeenCalled()
  } finally {
    out.mockRestore()
    err.mockRestore()
  }
})

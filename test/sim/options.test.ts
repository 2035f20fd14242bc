import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseCommand } from '../../sim/options.ts'

const root = join(import.meta.dirname, '..', '..')

test.each([
  [['--peers', '0'], /--peers 0: is not a whole number from 1 to \d+/],
  [['--peers', 'many'], /--peers many/],
  [['--file', 'big'], /--file big: is not a size/],
  [['--file', '0'], /--file 0: has to be more than nothing/],
  [['--file', '1TiB', '--piece', '1KiB'], /--piece 1KiB: makes more than \d+ pieces/],
  [['--seed-rate', 'fast'], /--seed-rate fast: is not a size/],
  [['--latency', '10 parsecs'], /--latency 10 parsecs: is not a duration/],
  [['--leave', '1.5'], /--leave 1.5: is not a share from 0 to 0.9/],
  [['--grain', '64MiB', '--piece', '4MiB'], /--grain 64MiB: has to be a part of a piece/],
  [['--grain', '1'], /--grain 1: has to be a part of a piece, of which there are at most \d+/],
  [['--round', 'real', '--grain', '1MiB'], /--round real: the daemon passes on blocks/],
  [['--cross-rate', '1MB'], /--cross-rate and --cross-latency are for --two-dcs/],
  [['--set', 'candidateParentLimit'], /--set candidateParentLimit: write NAME=VALUE/],
  [['--set', 'candidateParents=3'], /candidateParents/],
  [['--set', 'candidateParentLimit=99'], /candidateParentLimit/],
  [['--pears', '5'], /--pears/],
  [['100'], /100/],
])('%j is refused with the flag and the reason', (args, why) => {
  expect(() => parseCommand(args)).toThrow(why)
})

test('flags mean what the issue says of them', () => {
  const args =
    '--peers 1000 --file 10GiB --seed-rate 100MB --peer-rate 25MB --latency 5ms --leave 0.05 --join-over 60s --two-dcs --cross-rate 50MB --seed 3 --set candidateParentLimit=6'
  const command = parseCommand(args.split(' '))
  expect(command?.options).toMatchObject({
    peers: 1000,
    fileBytes: 10 * 2 ** 30,
    pieceLength: 32 * 2 ** 20,
    seedRate: 100 * 2 ** 20,
    peerUpRate: 25 * 2 ** 20,
    peerDownRate: 25 * 2 ** 20,
    latencyMs: 5,
    leave: 0.05,
    joinOverMs: 60_000,
    twoSites: true,
    crossRate: 50 * 2 ** 20,
    unitLength: 512 * 1024,
    seed: 3,
  })
  expect(command?.options.scheduler.candidateParentLimit).toBe(6)
})

test('the command prints figures that a program can read, and says in one line what is wrong with a flag', () => {
  const sim = ['devnet/run.mjs', 'sim/main.ts']
  const env = { ...process.env, DRAGONFLY_BUILD: 'skip' }
  const args = ['--peers', '5', '--file', '20MiB', '--json']
  const { figures } = JSON.parse(
    execFileSync(process.execPath, [...sim, ...args], { cwd: root, env, encoding: 'utf8' }),
  )
  expect(figures).toMatchObject({ peers: 5, stayed: 5, unfinished: 0, originCopies: 1 })
  const wrong = spawnSync(process.execPath, [...sim, '--file', 'big'], { cwd: root, env, encoding: 'utf8' })
  expect(wrong.status).toBe(2)
  expect(wrong.stderr).toMatch(/^sim: --file big: is not a size[^\n]*\n$/)
})

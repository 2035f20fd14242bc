import { test as nodeTest } from 'node:test'
import { CONTRACT_CHECKS, Probe, type SourceFixture } from './contract-checks.ts'

export type { SourceFixture } from './contract-checks.ts'

/** `test` of node:test, vitest, jest: whatever takes a name and a function. */
export type TestFunction = (name: string, run: () => Promise<void>) => unknown

/**
 * What every source must do. Call it from a test file; each check opens a fixture of its own.
 * Under vitest pass its `test`; node:test, and any runner with a global `test`, is found.
 */
export function testSource(
  name: string,
  open: () => SourceFixture | Promise<SourceFixture>,
  options: { readonly test?: TestFunction } = {},
): void {
  const test = options.test ?? findTest()
  for (const [promise, check] of Object.entries(CONTRACT_CHECKS)) {
    test(`${name} ${promise}`, async () => {
      const fixture = await open()
      const probe = new Probe(fixture)
      try {
        await check(probe)
      } finally {
        probe.close()
        await fixture.close?.()
      }
    })
  }
}

function findTest(): TestFunction {
  const { test } = globalThis as { test?: unknown }
  if (typeof test === 'function') return test as TestFunction
  if (process.env['VITEST'] !== undefined) {
    throw new Error("pass vitest's test: testSource(name, open, { test })")
  }
  return (name, run) => void nodeTest(name, run)
}

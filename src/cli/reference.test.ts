import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FAILURES } from '#core'
import { referencePages } from './reference.ts'

const docs = join(import.meta.dirname, '../../docs')

test.each(['settings.md', 'failures.md', 'cli.md', 'metrics.md'])(
  'docs/%s says what the code says (else: npm run docs)',
  async (name) => {
    expect(readFileSync(join(docs, name), 'utf8')).toBe((await referencePages())[name])
  },
)

test('the pages name every failure, and a flag of every setting', async () => {
  const pages = await referencePages()
  for (const code of Object.keys(FAILURES)) expect(pages['failures.md']).toContain(`\`${code}\``)
  for (const flag of ['--upload-piece-port', '--storage-capacity', '--host-ip', '--retry-limit'])
    expect(pages['settings.md']).toContain(flag)
  for (const flag of ['--original-offset', '--disable-back-source', '-H, --header', '--plugin-dir', 'cdn plugin'])
    expect(pages['cli.md']).toContain(flag)
})

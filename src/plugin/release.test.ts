import { expect, test } from 'vitest'
import { API_VERSION } from '#source'
import { dirWith, hostOfRelease, pluginText, policyOf } from './test-host.ts'

const [major = 1, minor = 0] = API_VERSION.split('.').map(Number)

/** What a host of a release says of a plugin that was built with the kit of this one. */
async function loadedBy(release: string): Promise<unknown> {
  const metadata = `{ type: 'resource', name: 'd7yfs', scheme: 'd7yfs', apiVersion: '^${API_VERSION}' }`
  const dir = await dirWith({ 'd7y-resource-plugin-d7yfs.mjs': pluginText('d7yfs', { metadata }) })
  const { createPluginHost } = await hostOfRelease(release)
  const dirs = [{ path: dir, given: true }]
  await using host = createPluginHost({ dirs, options: {}, policy: policyOf(), warn: () => undefined })
  return await host.load('d7yfs').catch((error: unknown) => error)
}

// G1 row 16: built for 1.x, loaded by any 1.y with y at least x.
test('a plugin built with this kit is loaded by hosts of this and of later minor releases', async () => {
  for (const release of [API_VERSION, `${major}.${minor}.9`, `${major}.${minor + 1}.0`, `${major}.${minor + 40}.2`])
    expect(await loadedBy(release), release).toMatchObject({ scheme: 'd7yfs' })
})

test('hosts of an earlier minor release, and of another major one, refuse it in one line', async () => {
  for (const release of [`${major}.${minor - 1}.0`, `${major + 1}.0.0`]) {
    const refused = await loadedBy(release)
    expect(refused, release).toMatchObject({ code: 'plugin.broken' })
    const message = String(refused)
    expect(message).toContain(`metadata.apiVersion is "^${API_VERSION}", expected a range with ${release}`)
    expect(message.split('\n')).toHaveLength(1)
  }
})

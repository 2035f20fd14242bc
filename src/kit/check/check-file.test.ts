import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { runProgram, type TempDir, tempDir } from '#devnet'
import { EXIT_CODES, worstOf } from './findings.ts'
import { metadataFindings } from './metadata-findings.ts'
import { methodFindings } from './method-findings.ts'
import type { FileReport } from './check-file.ts'

const SLOW = { timeout: 60_000 }

function pluginText(scheme: string, parts: { metadata?: string; client?: string; more?: string } = {}): string {
  const metadata = `{ type: 'resource', name: '${scheme}', scheme: '${scheme}', ${parts.metadata ?? ''} }`
  return `${parts.more ?? ''}
export const DragonflyPluginInit = () => ({ client: ${parts.client ?? '{ async download() {} }'}, metadata: ${metadata} })`
}

/** The reports of plugins, each of a scheme of its own, by scheme. */
async function checked(dir: TempDir, plugins: Readonly<Record<string, string>>, args: readonly string[] = []) {
  const files = Object.keys(plugins).map((scheme) => dir.join(`d7y-resource-plugin-${scheme}.mjs`))
  for (const [at, text] of Object.values(plugins).entries()) await writeFile(files[at] ?? '', text)
  const ran = await runProgram('dfget', ['plugin', 'check', '--json', ...args, ...files])
  const { files: reports } = JSON.parse(ran.stdout) as { files: FileReport[] }
  const byScheme = Object.keys(plugins).map((scheme, at) => [scheme, reports[at]] as const)
  return { code: ran.code, reports: Object.fromEntries(byScheme) as Record<string, FileReport> }
}

function saying(report: FileReport | undefined, severity: string): string[] {
  return (report?.findings ?? [])
    .filter((finding) => finding.severity === severity)
    .map(({ about, text }) => `${about}: ${text}`)
}

test('each way to be wrong is told in one line, at the thing that is wrong', SLOW, async () => {
  await using dir = await tempDir('check')
  const { code, reports } = await checked(dir, {
    text: 'this is a text',
    init: 'export const DragonflyPluginInit = 7',
    throws: "export const DragonflyPluginInit = () => { throw new Error('no key') }",
    name: pluginText('other'),
    range: pluginText('range', { metadata: "apiVersion: '^99.0.0'" }),
    client: pluginText('client', { client: '{}' }),
    file: pluginText('file'),
    exits: 'process.exit(3)',
    needy: pluginText('needy', { metadata: "permissions: { files: ['/etc/hosts'], processes: true }" }),
    odd: pluginText('odd', { metadata: 'permissions: { everything: true }' }),
    schema: pluginText('schema', { more: "export const DragonflyPluginOptions = { required: ['key'] }" }),
  })
  expect(code).toBe(3)
  const errors = Object.fromEntries(
    Object.entries(reports).map(([scheme, report]) => [scheme, saying(report, 'error')]),
  )
  expect(errors).toEqual({
    text: [expect.stringMatching(/^module: it cannot be loaded: /)],
    init: [expect.stringMatching(/^init: invalid plugin init function signature: .* is a number/)],
    throws: ['init: DragonflyPluginInit failed: no key'],
    name: [expect.stringMatching(/^metadata: plugin name not match: metadata\.name is "other", expected "name"/)],
    range: [expect.stringMatching(/^apiVersion: plugin was built with a different version of the contract/)],
    client: [expect.stringMatching(/^client: invalid client, not a ResourceClient/)],
    file: [],
    exits: [expect.stringMatching(/^module: .*exit code 3/)],
    needy: [
      expect.stringMatching(
        /^permissions: it needs what it was not granted: files=\/etc\/hosts, processes=true; grant/,
      ),
    ],
    odd: [expect.stringMatching(/^permissions: metadata\.permissions.*everything/)],
    schema: ['options: plugins.schema.key: is missing'],
  })
  expect(saying(reports['file'], 'warning')).toEqual(['file: file is built in; the plugin was not run'])
  expect(saying(reports['range'], 'ok').map((line) => line.split(':')[0])).toEqual([
    'file',
    'module',
    'init',
    'metadata',
  ])
})

test('what is right is told as well, and what a host does without', SLOW, async () => {
  await using dir = await tempDir('check')
  const metadata = "buildTime: 'yesterday', buildCommit: 'abc-dirty', size: 3, permissions: { files: ['/etc/hosts'] }"
  const plugins = { good: pluginText('good', { metadata, client: '{ async download() {}, async stat() {} }' }) }
  const { code, reports } = await checked(dir, plugins, ['--plugin-grant', 'good.files=/etc/hosts'])
  expect(code).toBe(1)
  const { good } = reports
  expect(saying(good, 'warning')).toEqual(['buildTime: "yesterday" is no time in UTC such as 2026-01-31T12:00:00Z'])
  expect(saying(good, 'note')).toEqual([
    'options: no DragonflyPluginOptions: a host hands over whatever is configured, unchecked',
    'apiVersion: missing: hosts of any version will try it; dfget plugin build fills it in',
    'buildCommit: abc-dirty: what was built is not what was committed',
    'vendor: missing; dfget plugin build fills in the author of package.json',
    'isExpired: missing: what is stored is compared by ETag and date',
    'list: missing: the scheme cannot be listed',
  ])
  expect(saying(good, 'ok')).toEqual([
    expect.stringMatching(/^file: \d+ B, sha256 [0-9a-f]{64}, owner \S+, mode 0\d{3}$/),
    'module: can be loaded',
    'init: DragonflyPluginInit gives a client and metadata',
    expect.stringMatching(
      /^permissions: declared \{"files":\["\/etc\/hosts"\]\}, granted \{"files":\["\/etc\/hosts"\]\}; files enforced, /,
    ),
    'type: resource',
    'name: good',
    'scheme: good',
    'size: 3',
    'download: present',
    'getContentLength: missing: stat tells it',
    'isSupportRange: missing: stat tells it',
    'getLastModified: missing: stat tells it',
    'stat: present',
  ])
})

test('who else may write to a plugin, and a link that leads away, are told at the file', SLOW, async () => {
  await using dir = await tempDir('check')
  await mkdir(dir.join('links'))
  await writeFile(dir.join('d7y-resource-plugin-x.mjs'), pluginText('x'))
  await symlink('../d7y-resource-plugin-x.mjs', dir.join('links/d7y-resource-plugin-x.mjs'))
  const check = async (path: string) => runProgram('dfget', ['plugin', 'check', dir.join(path)])
  const linked = await check('links/d7y-resource-plugin-x.mjs')
  expect(linked.code).toBe(0)
  expect(linked.stdout).toMatch(
    /^ {2}note +file +is a link to .*\/d7y-resource-plugin-x\.mjs, outside of its directory$/m,
  )
  await chmod(dir.join('d7y-resource-plugin-x.mjs'), 0o646)
  const open = await check('d7y-resource-plugin-x.mjs')
  expect(open.code).toBe(3)
  expect(open.stdout).toMatch(/^ {2}error +file +.* is writable by everybody.*chmod o-w /m)
  const folder = await check('links')
  expect(folder.stdout).toMatch(/^ {2}error +file +.*links is no plugin by its name/m)
})

test('the exit code is that of the worst that was found', () => {
  const found = (...severities: ('ok' | 'note' | 'warning' | 'error')[]) =>
    EXIT_CODES[worstOf(severities.map((severity) => ({ severity, about: 'x', text: '' })))]
  expect([found(), found('ok', 'note'), found('note', 'warning', 'ok'), found('error', 'warning')]).toEqual([
    0, 0, 1, 3,
  ])
})

test('a build that knows where it comes from is all right; a method that stat stands for is not missed', () => {
  const built = { buildCommit: 'abc1234', buildTime: '2026-01-31T12:00:00Z', vendor: 'd7y', apiVersion: '^1.0.0' }
  const found = metadataFindings({ type: 'resource', name: 'x', scheme: 'x', ...built })
  expect(found.map(({ severity }) => severity)).toEqual(Array.from({ length: 7 }, () => 'ok'))
  expect(methodFindings('resource', ['download']).filter(({ severity }) => severity === 'note').length).toBe(6)
  expect(methodFindings('scheduler', ['evaluate'])).toEqual([{ severity: 'ok', about: 'evaluate', text: 'present' }])
})

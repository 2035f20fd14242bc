import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { endProcesses, processesNaming, type Ran, runProgram, tempDir, until } from '#devnet'
import { expectSuccess, STORY } from './story.ts'

const SECRETS = ['in-the-file-4711', 'of-the-environment-4712', 'written-plainly-4713'] as const

/** A plugin that tells its secrets whenever it can; its resource is all of its options. */
const TELLTALE = `
export const DragonflyPluginOptions = {
  type: 'object',
  required: ['region'],
  properties: { region: { type: 'string' }, size: { type: 'integer', default: 8 } },
}
export const DragonflyPluginInit = (options) => {
  const told = JSON.stringify(options)
  console.log('init', told)
  console.error('init', options)
  if (options.fail === 'init') throw new Error('init: ' + told)
  return {
    client: {
      async download({ url }) {
        console.log('download', told)
        if (url.includes('fail')) throw new Error('download: ' + told)
        return { body: new TextEncoder().encode(url.includes('region') ? options.region + ' ' + options.size : told) }
      },
    },
    metadata: { type: 'resource', name: 'tell', scheme: 'tell', vendor: told },
  }
}
`

async function place(): Promise<Awaited<ReturnType<typeof tempDir>>> {
  const dir = await tempDir('secrets')
  await mkdir(dir.join('home/plugins'), { recursive: true })
  await writeFile(dir.join('home/plugins/d7y-resource-plugin-tell.mjs'), TELLTALE)
  await writeFile(dir.join('secret'), `${SECRETS[0]}\n`)
  const options = `{ region: file, key: 'file:${dir.join('secret')}', token: env:TELL_TOKEN, password: ${SECRETS[2]} }`
  await writeFile(dir.join('settings.yaml'), `plugins: { tell: ${options} }\n`)
  return dir
}

const env = { TELL_TOKEN: SECRETS[1] }

async function textsBelow(dir: string): Promise<string> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('\n')
}

function expectNoSecret(...texts: readonly string[]): void {
  for (const secret of SECRETS) for (const text of texts) expect(text).not.toContain(secret)
}

test('a plugin that tells its secrets at every turn has them hidden in listings and messages', STORY, async () => {
  await using dir = await place()
  const common = ['--workhome', dir.join('home'), '--config', dir.join('settings.yaml')]
  const dfget = (args: readonly string[]): Promise<Ran> => runProgram('dfget', args, { env, cwd: dir.path })

  const listing = await dfget(['plugin', 'list', '--json', ...common])
  expectSuccess(listing)
  const { directories } = JSON.parse(listing.stdout) as { directories: { plugins: unknown[] }[] }
  const options = { region: 'file', key: `file:${dir.join('secret')}`, token: 'env:TELL_TOKEN', password: '[hidden]' }
  const good = expect.objectContaining({ state: 'good', options })
  expect(directories.flatMap(({ plugins }) => plugins)).toContainEqual(good)
  const verbose = await dfget(['plugin', 'list', '--verbose', ...common])
  const failing = await dfget(['plugin', 'list', '--verbose', ...common, '--plugin-option', 'tell.fail=init'])
  expect(failing.code).toBe(1)
  expect(failing.stderr).toContain('[hidden]')
  const file = dir.join('home/plugins/d7y-resource-plugin-tell.mjs')
  const checked = await dfget(['plugin', 'check', file, '--config', dir.join('settings.yaml'), '--json'])

  const source = ['-p', 'source', '--verbose', '--console', '--logdir', dir.join('logs'), ...common]
  const downloaded = await dfget(['tell://host/all', '-O', dir.join('all'), ...source])
  expectSuccess(downloaded)
  for (const secret of SECRETS) expect(await readFile(dir.join('all'), 'utf8')).toContain(secret)
  const failed = await dfget(['tell://host/fail', '-O', dir.join('fail'), ...source])
  expect(failed.code).not.toBe(0)
  expect(failed.stderr).toContain('[hidden]')

  const rans = [listing, verbose, failing, checked, downloaded, failed]
  expectNoSecret(...rans.flatMap(({ stdout, stderr }) => [stdout, stderr]))
})

test('a daemon that dfget starts has the options, on no command line; one that runs keeps its own', STORY, async () => {
  await using dir = await place()
  const common = ['--workhome', dir.join('home'), '--logdir', dir.join('logs'), '--config', dir.join('settings.yaml')]
  const dfget = (name: string, ...more: string[]): Promise<Ran> =>
    runProgram('dfget', [`tell://host/region-${name}`, '-O', dir.join(name), ...common, ...more], { env })
  try {
    const option = ['--plugin-option', 'tell.region=flag', '--plugin-option', `tell.password=${SECRETS[2]}`]
    expectSuccess(await dfget('1', ...option))
    expect(await readFile(dir.join('1'), 'utf8')).toBe('flag 8')
    const running = processesNaming(dir.path)
    expect(running.length).toBeGreaterThan(0)
    expectNoSecret(...(await Promise.all(running.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8')))))

    const second = await dfget('2', '--plugin-option', 'tell.region=other')
    expectSuccess(second)
    expect(second.stderr.match(/a daemon runs already/g)).toHaveLength(1)
    expect(await readFile(dir.join('2'), 'utf8')).toBe('flag 8')
    const slip = await dfget('3', '--plugin-option', `tell.token=#${SECRETS[0]}`)
    expect(slip.code).toBe(2)
    expect((await dfget('fail')).code).not.toBe(0)
    expectNoSecret(second.stderr, slip.stderr)
    await until(async () => (await textsBelow(dir.join('logs'))).includes('[hidden]'))
    expectNoSecret(await textsBelow(dir.join('logs')))
  } finally {
    await endProcesses(processesNaming(dir.join('home')))
  }
})

test('wrong options and missing secrets are refused with their key, and other schemes go on', STORY, async () => {
  await using dir = await place()
  const common = ['-p', 'source', '--workhome', dir.join('home')]
  const dfget = (...args: string[]): Promise<Ran> =>
    runProgram('dfget', ['tell://host/region', '-O', dir.join('out'), ...common, ...args], { env })
  for (const [option, why] of [
    ['tell.regoin=eu', /plugins\.tell\.region: is missing/],
    ['tell.size=much', /plugins\.tell\.size: must be integer/],
    ['tell.key=env:NOT_SET', /plugins\.tell\.key: env:NOT_SET names an environment variable that is not set/],
    ['tell.key=file:/not/there', /plugins\.tell\.key: file:\/not\/there cannot be read/],
  ] as const) {
    const ran = await dfget('--plugin-option', option)
    expect([ran.code, ran.stderr], ran.stderr).toEqual([2, expect.stringMatching(why)])
    expect(existsSync(dir.join('out'))).toBe(false)
  }
  expectSuccess(await dfget('--plugin-option', 'tell.region=eu', '--plugin-option', 'tell.size="9"'))
  expect(await readFile(dir.join('out'), 'utf8')).toBe('eu 9')
  const local = ['dfget', [`file://${dir.join('secret')}`, '-O', dir.join('copy'), ...common]] as const
  expectSuccess(await runProgram(local[0], [...local[1], '--plugin-option', 'tell.size=much']))
})

test('a refusal is mended by the line that it gives, while its daemon runs', STORY, async () => {
  await using dir = await place()
  const common = ['--workhome', dir.join('home'), '--logdir', dir.join('logs'), '--config', dir.join('settings.yaml')]
  const dfget = (name: string): Promise<Ran> =>
    runProgram('dfget', [`tell://host/region-${name}`, '-O', dir.join(name), ...common], { env })
  try {
    await chmod(dir.join('home/plugins'), 0o777)
    const refused = await dfget('1')
    expect(refused.code).toBe(3)
    expect(refused.stderr).toContain(`chmod o-w ${dir.join('home/plugins')}`)
    await chmod(dir.join('home/plugins'), 0o775)
    await until(async () => (await dfget('2')).code === 0)
    expect(await readFile(dir.join('2'), 'utf8')).toBe('file 8')
  } finally {
    await endProcesses(processesNaming(dir.join('home')))
  }
})

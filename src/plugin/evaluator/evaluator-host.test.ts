import { chmod, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { PluginPolicy } from '../settings.ts'
import { dirWith, policyOf } from '../test-host.ts'
import { createEvaluatorHost, type EvaluatorHost } from './evaluator-host.ts'
import { evaluatorText, FILE, rankingOf } from './test-evaluator.ts'

interface Watched {
  readonly host: EvaluatorHost
  readonly dir: string
  readonly warnings: string[]
  readonly notes: string[]
  readonly printed: string[]
}

interface Given {
  readonly options?: Record<string, unknown>
  readonly policy?: Partial<PluginPolicy>
}

/** No test here depends on being quick: an evaluator that works may take its time. */
const PATIENT = { evaluatorTimeout: 10_000, hangTimeout: 10_000 }
/** An ill one is found out sooner. */
const HASTY = { evaluatorTimeout: 300, hangTimeout: 300 }

async function hostOf(files: Record<string, string>, { options = {}, policy = {} }: Given = {}): Promise<Watched> {
  const dir = await dirWith(files)
  const [warnings, notes, printed]: [string[], string[], string[]] = [[], [], []]
  const host = await createEvaluatorHost({
    dirs: [{ path: dir, given: true }],
    options,
    policy: policyOf({ ...PATIENT, ...policy }),
    warn: (message) => void warnings.push(message),
    note: (message) => void notes.push(message),
    print: (line) => void printed.push(line),
  })
  onTestFinished(() => host[Symbol.asyncDispose]())
  return { host, dir, warnings, notes, printed }
}

/** The scores of parents in these data centres. */
async function scores(host: EvaluatorHost, ...idcs: string[]): Promise<readonly number[] | undefined> {
  return (await host.judge(rankingOf(...idcs)))?.map(({ score }) => score)
}

function counted(host: EvaluatorHost): Record<string, number> {
  const rankings = host.samples().filter(({ name }) => name.endsWith('rankings_total'))
  return Object.fromEntries(rankings.map(({ labels, value }) => [labels['result'] ?? '', value]))
}

const LIKES_X = evaluatorText("evaluate: (parent) => (parent.host.idc === 'x' ? 1 : -1)")

test('an evaluator scores each parent, from plain data about it, the child and the task', async () => {
  const text = evaluatorText(
    'evaluate: (parent, child, task) => parent.host.uploads + 10 * child.host.uploads + 100 * task.pieces',
  )
  const { host, warnings } = await hostOf({ [FILE]: text })
  expect(host.loaded).toBe(true)
  expect(await scores(host, 'a', 'b', 'c')).toEqual([1030, 1031, 1032])
  expect(warnings).toEqual([])
  expect(counted(host)).toEqual({ ok: 1 })
  expect(host.callSamples()).toContainEqual({
    name: 'dragonfly_plugin_calls_total',
    labels: { scheme: 'evaluator', method: 'judgeParents', code: 'ok' },
    value: 1,
  })
})

test('it may look at all parents at once, take its time, call some of them bad, and get options', async () => {
  const text = evaluatorText(`
    evaluate: () => { throw new Error('not asked') },
    async evaluateParents(parents) { return parents.map((_, index) => index * options.step) },
    isBadParent: async (parent) => parent.host.idc === 'b'`)
  const { host } = await hostOf({ [FILE]: text }, { options: { evaluator: { step: 5 } } })
  expect(await host.judge(rankingOf('a', 'b'))).toEqual([
    { score: 0, bad: false },
    { score: 5, bad: true },
  ])
})

test('what it is given is frozen, all the way down', async () => {
  const text = evaluatorText(`evaluate(parent, child, task) {
    const all = [parent, parent.host, parent.pieceMs, child, child.host, task]
    return all.every(Object.isFrozen) ? 1 : 0
  }, evaluateParents: undefined`)
  const { host } = await hostOf({ [FILE]: text })
  expect(await scores(host, 'a', 'b')).toEqual([1, 1])
  const meddling = await hostOf({ [FILE]: evaluatorText('evaluateParents: (all) => all.reverse(), evaluate: () => 1') })
  expect(await scores(meddling.host, 'a', 'b')).toBeUndefined()
  expect(counted(meddling.host)).toEqual({ threw: 1 })
})

test.each([
  ['throws', "evaluate() { throw new Error('boom') }", 'threw', 'it threw: boom'],
  ['rejects', "evaluate: async () => { throw 'boom' }", 'threw', 'it threw: boom'],
  ['throws nothing', 'evaluate() { throw undefined }', 'threw', 'it threw: '],
  ['gives NaN', 'evaluate: () => NaN', 'invalid', 'it scored a parent NaN, expected a finite number'],
  ['gives nothing', 'evaluate() {}', 'invalid', 'it scored a parent null, expected a finite number'],
  ['gives a bigint', 'evaluate: () => 1n', 'threw', 'BigInt'],
  ['gives too few', 'evaluate: () => 1, evaluateParents: () => [1]', 'invalid', 'it scored 1 of 2 parents'],
  ['gives no array', "evaluate: () => 1, evaluateParents: () => 'ab'", 'threw', 'evaluateParents gave no array'],
  ['cannot tell bad from good', "evaluate: () => 1, isBadParent: () => 'no'", 'invalid', 'isBadParent gave "no"'],
] as const)('one that %s leaves the ranking to the default, with one warning', async (_, methods, result, why) => {
  const { host, warnings, notes } = await hostOf({ [FILE]: evaluatorText(methods) })
  for (let round = 0; round < 3; round++) expect(await scores(host, 'a', 'b')).toBeUndefined()
  expect(warnings).toEqual([expect.stringContaining(why)])
  expect(warnings[0]).toMatch(/^plugin evaluator \(.*\): .*; the scheduler ranks parents itself/)
  expect(counted(host)).toEqual({ [result]: 3 })
  expect(notes).toHaveLength(1)
})

test('one that never answers costs each ranking no more than its time', async () => {
  const text = evaluatorText("evaluate: (parent) => (parent.host.idc === 'hang' ? new Promise(() => {}) : 7)")
  const { host, warnings } = await hostOf({ [FILE]: text }, { policy: { evaluatorTimeout: 300 } })
  expect(await scores(host, 'hang')).toBeUndefined()
  expect(await scores(host, 'a')).toBeUndefined()
  expect(counted(host)).toEqual({ late: 1, skipped: 1 })
  await expect.poll(() => scores(host, 'a'), { timeout: 20_000, interval: 100 }).toEqual([7])
  expect(warnings).toEqual([expect.stringContaining('no answer within 300 ms')])
})

/** Does something terrible when asked about a parent in the data centre "ill"; else it scores 7. */
function illWhenAsked(how: string): string {
  return evaluatorText(`evaluate(parent) { if (parent.host.idc === 'ill') { ${how} } return 7 }`)
}

test.each([
  ['exits', 'process.exit(0)'],
  ['kills itself', "process.kill(process.pid, 'SIGKILL')"],
  ['aborts', 'process.abort()'],
  ['spins', 'for (;;);'],
  ['fills its heap', 'const all = []; for (;;) all.push(new Array(1000).fill(parent))'],
  [
    'fills memory outside of its heap',
    'globalThis.all = []; setInterval(() => all.push(Buffer.alloc(2 ** 26, 1)), 5); return new Promise(() => {})',
  ],
  ['closes what it has open', "for (let fd = 0; fd < 100; fd++) try { require('node:fs').closeSync(fd) } catch {}"],
])('one that %s goes down alone: rankings go on, and it is there again', { timeout: 60_000 }, async (_, how) => {
  const before = "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)\n"
  const policy = { ...HASTY, memory: 128 * 2 ** 20 }
  const { host, warnings } = await hostOf({ [FILE]: before + illWhenAsked(how) }, { policy })
  await expect.poll(() => scores(host, 'a')).toEqual([7])
  expect(await scores(host, 'ill', 'a')).toBeUndefined()
  expect([undefined, [7]]).toContainEqual(await scores(host, 'a')) // the next process may be there already
  await expect.poll(() => scores(host, 'a'), { timeout: 40_000, interval: 50 }).toEqual([7])
  expect(warnings).toHaveLength(1)
})

test.each([
  ['throws in a timer', "setTimeout(() => { throw new Error('stray') })"],
  ['rejects unhandled', "Promise.reject(new Error('stray'))"],
])('one that %s beside its answer is not even late', async (_, how) => {
  const { host, warnings, printed } = await hostOf({ [FILE]: illWhenAsked(how) })
  expect(await scores(host, 'ill')).toEqual([7])
  await expect.poll(() => printed).toContainEqual(expect.stringContaining('stray'))
  expect(await scores(host, 'ill')).toEqual([7])
  expect(warnings).toEqual([])
})

test('one that prints a gigabyte fills neither log nor memory', { timeout: 60_000 }, async () => {
  const write = "process.stdout.write('x'.repeat(2 ** 20) + '\\n')"
  const text = illWhenAsked(`for (let i = 0; i < 1024; i++) ${write}`)
  const { host, printed } = await hostOf({ [FILE]: text }, { policy: HASTY })
  await scores(host, 'ill')
  await expect.poll(() => scores(host, 'a'), { timeout: 40_000, interval: 50 }).toEqual([7])
  expect(printed.join('').length).toBeLessThan(100_000)
})

test('one that crashes again and again is left alone for a while, and nobody waits for it', async () => {
  const policy = { ...HASTY, crashes: 2, coolDown: 60_000 }
  const { host, warnings, notes } = await hostOf({ [FILE]: illWhenAsked('process.exit(1)') }, { policy })
  await expect
    .poll(async () => (await scores(host, 'ill'), notes.some((note) => note.includes('it is left alone for'))), {
      timeout: 20_000,
    })
    .toBe(true)
  expect(await scores(host, 'a')).toBeUndefined()
  expect(warnings).toEqual([expect.stringContaining('its process ended (exit code 1)')])
})

test('secrets that it was given are not in what is told of it', async () => {
  const text = evaluatorText('evaluate() { throw new Error(`cannot log in with ${options.token}`) }')
  const options = { evaluator: { token: 'open-sesame' } }
  const { host, warnings } = await hostOf({ [FILE]: text }, { options })
  expect(await scores(host, 'a')).toBeUndefined()
  expect(warnings).toEqual([expect.stringContaining('cannot log in with [hidden]')])
})

const SOON = { timeout: 10_000, interval: 20 }

test('a replaced file ranks soon after, without a ranking missed; its troubles are warned of anew', async () => {
  const { host, dir, warnings } = await hostOf({ [FILE]: evaluatorText('evaluate() { throw 1 }') })
  expect(await scores(host, 'x')).toBeUndefined()
  await replace(dir, LIKES_X)
  await expect.poll(() => scores(host, 'x', 'y'), SOON).toEqual([1, -1])
  await replace(dir, evaluatorText('evaluate: () => 5'))
  let answers: (readonly number[] | undefined)[] = []
  await expect.poll(async () => (answers = [...answers, await scores(host, 'x')]).at(-1), SOON).toEqual([5])
  expect(answers).not.toContain(undefined)
  expect(warnings).toHaveLength(1)
  await replace(dir, evaluatorText('evaluate() { throw 2 }'))
  await expect.poll(() => scores(host, 'x'), SOON).toBeUndefined()
  expect(warnings).toHaveLength(2)
})

test('a file that cannot be loaded leaves the old one ranking, with one warning; a removed one does not', async () => {
  const { host, dir, warnings } = await hostOf({ [FILE]: LIKES_X })
  await replace(dir, 'throw new Error("out of order")')
  await expect.poll(() => warnings, SOON).toHaveLength(1)
  expect(warnings[0]).toContain('out of order; the one that was loaded before goes on')
  expect(await scores(host, 'x')).toEqual([1])
  await rm(join(dir, FILE))
  await expect.poll(() => host.loaded, SOON).toBe(false)
  expect(await host.judge(rankingOf('x'))).toBeUndefined()
  expect(warnings).toHaveLength(1)
})

test.each([
  ['of another type', LIKES_X.replace("'scheduler'", "'manager'"), 'plugin type not match'],
  ['without evaluate', evaluatorText('isBadParent: () => true'), 'invalid client, not an Evaluator'],
  [
    'of another contract',
    LIKES_X.replace("name: '", "apiVersion: '^99', name: '"),
    'different version of the contract',
  ],
  ['that wants more than it may', LIKES_X.replace("name: '", "permissions: { processes: true }, name: '"), 'granted'],
  [
    'that does not know its options',
    `${LIKES_X}export const DragonflyPluginOptions = { type: 'object', additionalProperties: false }`,
    'plugins.evaluator.step',
  ],
])('one %s is not used: it is told, counted, and the default ranks', async (_, text, why) => {
  const { host, warnings } = await hostOf({ [FILE]: text }, { options: { evaluator: { step: 1 } } })
  expect(host.loaded).toBe(false)
  expect(await host.judge(rankingOf('x'))).toBeUndefined()
  expect(warnings).toEqual([expect.stringContaining(why)])
  expect(warnings[0]).toContain('; the scheduler ranks parents itself')
  expect(host.samples().map(({ value }) => value)).toEqual([0, 1])
})

test('one that others may write to is refused, and what was loaded before goes', async () => {
  const { host, dir, warnings } = await hostOf({ [FILE]: LIKES_X })
  expect(host.loaded).toBe(true)
  await writeFile(join(dir, FILE), LIKES_X.replace('1 : -1', '3 : -3'))
  await chmod(join(dir, FILE), 0o666)
  await expect.poll(() => host.loaded, SOON).toBe(false)
  expect(warnings).toEqual([expect.stringContaining('is writable by everybody')])
})

test('without an evaluator nothing is told, and one that appears is found', async () => {
  const { host, dir, warnings } = await hostOf({ 'd7y-resource-plugin-x.mjs': '' })
  expect(host.loaded).toBe(false)
  await replace(dir, LIKES_X)
  await expect.poll(() => host.loaded, SOON).toBe(true)
  expect(warnings).toEqual([])
})

test('a scheduler does not wait for an evaluator that takes long to open', async () => {
  const { host } = await hostOf(
    { [FILE]: `await new Promise((end) => setTimeout(end, 4000))\n${LIKES_X}` },
    {
      policy: { startTimeout: 20_000 },
    },
  )
  expect(host.loaded).toBe(false)
  await expect.poll(() => host.loaded, { timeout: 20_000 }).toBe(true)
})

async function replace(dir: string, text: string): Promise<void> {
  await writeFile(join(dir, 'draft'), text)
  await rename(join(dir, 'draft'), join(dir, FILE))
}

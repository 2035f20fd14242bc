// A reporter of vitest for scripts/check.cjs: writes how many tests passed, and the failures with all that is known of
// them, to the file that DRAGONFLY_CHECK_REPORT names. (vitest's JSON has neither differences nor what timed out.)
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'

export default class FailuresReporter {
  onTestRunEnd(modules, unhandled) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const failures = [
      ...modules.flatMap((module) => [
        brokenSuites(module),
        ...[...module.children.allTests('failed')].map(failedTest),
      ]),
      ...unhandled.map((error) => ({ name: 'beside the tests', text: textOf(error) })),
    ].flat()
    const passed = tests.filter((test) => test.result().state === 'passed').length
    writeFileSync(process.env.DRAGONFLY_CHECK_REPORT, JSON.stringify({ passed, failures }))
  }
}

/** A file that could not be loaded, and hooks that failed: their tests did not run. */
function brokenSuites(module) {
  return [module, ...module.children.allSuites()]
    .filter((suite) => suite.errors().length > 0)
    .map((suite) => ({ name: nameOf(suite), text: suite.errors().map(textOf).join('\n') }))
}

function failedTest(test) {
  const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(1)
  return { name: `${nameOf(test)} (${seconds} s)`, text: (test.result().errors ?? []).map(textOf).join('\n') }
}

function nameOf(entity) {
  const file = relative(process.cwd(), (entity.module ?? entity).moduleId)
  return entity.fullName === undefined ? file : `${file} > ${entity.fullName}`
}

/** The message, how the values differ, and where in our files. */
function textOf(error) {
  const places = (error.stacks ?? []).map(
    ({ file, line, column }) => `at ${relative(process.cwd(), file)}:${line}:${column}`,
  )
  const place = places.find((text) => !text.includes('node_modules/'))
  const cause = error.cause === undefined ? undefined : `caused by ${error.cause.message ?? String(error.cause)}`
  return [error.message, error.diff, place, cause].filter((text) => text !== undefined && text !== '').join('\n')
}

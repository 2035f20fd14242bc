export { type BuildRequest, buildPlugin, type BuiltPlugin } from './build/build-plugin.ts'
export { checkFile, type FileReport } from './check/check-file.ts'
export { EXIT_CODES, type Finding, type Severity, worstOf } from './check/findings.ts'
export { newPlugin, type NewPlugin } from './new/new-plugin.ts'
export {
  type InstallDeps,
  type InstallOrder,
  installPlugin,
  type InstallReport,
} from './install/install-plugin.ts'
export { removePlugin, type RemoveReport } from './install/remove-plugin.ts'
export { tryPlugin, type TryOrder, type TryReport } from './try/try-plugin.ts'
export type { Row, Verdict } from './try/verdict.ts'

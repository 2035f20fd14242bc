export { type BuildRequest, buildPlugin, type BuiltPlugin } from './build/build-plugin.ts'
export { newPlugin, type NewPlugin } from './new/new-plugin.ts'
export {
  type InstallDeps,
  type InstallOrder,
  installPlugin,
  type InstallReport,
} from './install/install-plugin.ts'
export { removePlugin, type RemoveReport } from './install/remove-plugin.ts'

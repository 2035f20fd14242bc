import { COMMIT, VERSION } from '#runtime'

/** `dragonfly-ts v0.1.0 (1a2b3c, Node v20.20.2)` */
export function versionLine(): string {
  const build = COMMIT === '' ? '' : `${COMMIT}, `
  return `dragonfly-ts v${VERSION} (${build}Node ${process.version}, ${process.platform}-${process.arch})`
}

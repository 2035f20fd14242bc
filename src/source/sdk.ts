// What plugin authors import as `dragonfly-ts/source`. Nothing behind these files imports more of the host than types.
export * from './contract.ts'
export * from './http-date.ts'
export * from './response.ts'
export * from './source-error.ts'

export * from './contract.ts'
export { openTaskStore, type TaskStoreOptions } from './disk.ts'
export { storageSettings } from './settings.ts'

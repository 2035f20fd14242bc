export { Handout, type HandoutChild } from './handout.ts'
export type { Ask } from './member.ts'
export type { Run, Shape } from './shape.ts'
export { Strategy, type StrategyDeps, type Which } from './strategy.ts'

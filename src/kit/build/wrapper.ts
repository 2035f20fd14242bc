import type { Stamp } from './stamp.ts'

/** How a plugin's module gives out its init: by name, or (CommonJS, transpiled modules) below `default`. */
export type ExportStyle = 'named' | 'default'

/**
 * The module that a bundle begins with: the author's own exports, and an init whose metadata says when, from what and by
 * whom it was built, unless the author's own metadata does.
 */
export function wrapperText(entry: string, style: ExportStyle, stamp: Stamp): string {
  const from = JSON.stringify(entry)
  const exports =
    style === 'named'
      ? `export * from ${from}\nconst init = author.DragonflyPluginInit`
      : `const whole = author.DragonflyPluginInit === undefined ? author.default : author
const init = whole?.DragonflyPluginInit
export const DragonflyPluginOptions = whole?.DragonflyPluginOptions`
  return `import * as author from ${from}
${exports}
const stamp = ${JSON.stringify(stamp)}
const isData = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
const stamped = (plugin) => {
  const metadata = isData(plugin) ? plugin.metadata : undefined
  if (!isData(metadata)) return plugin
  const said = Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined))
  return Object.create(plugin, { metadata: { value: { ...stamp, ...said }, enumerable: true } })
}
const wrapped = (...args) => {
  const plugin = init(...args)
  return typeof plugin?.then === 'function' ? plugin.then(stamped) : stamped(plugin)
}
export const DragonflyPluginInit = typeof init === 'function' ? wrapped : init
`
}

declare const __DRAGONFLY_VERSION__: string | undefined
declare const __DRAGONFLY_COMMIT__: string | undefined

/** The version of this package; `dev` where the sources run unbuilt (tests). */
export const VERSION = typeof __DRAGONFLY_VERSION__ === 'string' ? __DRAGONFLY_VERSION__ : 'dev'

/** The commit this was built from, empty when it is not known. */
export const COMMIT = typeof __DRAGONFLY_COMMIT__ === 'string' ? __DRAGONFLY_COMMIT__ : ''

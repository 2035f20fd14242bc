export interface Options {
  /** What each part of the location is worth that parent and child share. */
  readonly near: number
  /** What an idle parent is worth above one that has all the children it may have. */
  readonly free: number
  /** A parent with more than this share of its places taken is bad. */
  readonly crowded: number
}

/** Checked before the plugin sees the options, defaults filled in. */
export const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    near: { type: 'number', minimum: 0, default: 1 },
    free: { type: 'number', minimum: 0, default: 0.5 },
    crowded: { type: 'number', exclusiveMinimum: 0, maximum: 1, default: 0.9 },
  },
}

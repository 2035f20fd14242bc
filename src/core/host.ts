/** This machine as other machines see it. */
export interface HostIdentity {
  readonly id: string
  /** An IP literal that others can reach. */
  readonly ip: string
  readonly hostname: string
  readonly seed: boolean
}

/** A reading of the controller's clock, with this VM's clock before and after. Unix milliseconds. */
export interface ClockReading {
  readonly theirs: number
  readonly sentAt: number
  readonly receivedAt: number
}

/** The controller's clock, as far as this VM knows it. Certificates and tokens are judged by it. */
export interface ControllerTime {
  observe(reading: ClockReading): void
  /** Unix milliseconds by the controller's clock. */
  now(): number
  /** How far this VM's clock is ahead of the controller's; undefined before the first reading. */
  skewMs(): number | undefined
}

/** Beyond this the clock counts as wrong: certificates may then seem out of their time. */
export const wrongBeyondMs = 60_000

/** How far this VM's clock is ahead. What the way may have taken is not counted as an error. */
export function skewOf({ theirs, sentAt, receivedAt }: ClockReading): number {
  if (theirs < sentAt) return sentAt - theirs
  if (theirs > receivedAt) return receivedAt - theirs
  return 0
}

/** The warning for people; undefined while the clock is right enough. */
export function skewWarning(skewMs: number | undefined): string | undefined {
  if (skewMs === undefined || Math.abs(skewMs) <= wrongBeyondMs) return undefined
  const seconds = Math.round(Math.abs(skewMs) / 1000)
  return `the clock of this VM is ${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} the controller's`
}

/** Keeps the newest reading. */
export function createControllerTime(clock: { now(): number }): ControllerTime {
  let skew: number | undefined
  return {
    observe(reading) {
      skew = skewOf(reading)
    },
    now: () => clock.now() - (skew ?? 0),
    skewMs: () => skew,
  }
}

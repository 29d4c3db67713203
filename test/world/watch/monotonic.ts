/** Milliseconds of the kernel's monotonic clock, with fractions: one clock for all processes of this machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

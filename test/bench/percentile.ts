/**
 * The value that `share` (0 to 1) of the samples do not exceed, between two samples by straight line (method 7 of
 * Hyndman and Fan, what R and NumPy do). Not a number when there is no sample.
 */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const low = sorted[Math.floor(place)]
  const high = sorted[Math.ceil(place)]
  if (low === undefined || high === undefined) return Number.NaN
  const part = place - Math.floor(place)
  // Rounding must not lead outside of the two.
  return Math.min(high, Math.max(low, low * (1 - part) + high * part))
}

/** The middle sample. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5)
}

/** `value` with so many digits after the point; what is measured has no more. */
export function rounded(value: number, digits = 0): number {
  return Number(value.toFixed(digits))
}

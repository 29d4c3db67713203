/** Sums of the samples of one name in Prometheus' text format, by the values of the given labels joined by a space. */
export function sumBy(text: string, name: string, labels: readonly string[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>()
  for (const [, inner = '', value] of text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))) {
    const found = new Map(
      [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, of]) => [label, of]),
    )
    const key = labels
      .map((label) => found.get(label) ?? '')
      .filter((of) => of !== '')
      .join(' ')
    sums.set(key, (sums.get(key) ?? 0) + Number(value))
  }
  return sums
}

/** What was added to each sum, without those that stayed. */
export function added(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const differences = [...after].map(([key, value]) => [key, value - (before.get(key) ?? 0)] as const)
  return new Map(differences.filter(([, value]) => value !== 0))
}

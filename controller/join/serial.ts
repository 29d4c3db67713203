/** Runs work so that none meets other work which it could disturb. */
export interface Serial {
  /** Alone: after everything that was given before, and before everything that is given later. */
  <T>(work: () => Promise<T>): Promise<T>
  /** Beside work that shares none of its keys; work with a key in common runs in the order given. */
  beside<T>(keys: readonly string[], work: () => Promise<T>): Promise<T>
}

interface Place {
  /** Absent: it shares everything. */
  readonly keys: ReadonlySet<string> | undefined
  readonly ended: Promise<unknown>
}

/**
 * Who looks at all VMs and then writes one must not overlap with another who could write what was looked at: two
 * joiners would get the same address, or a pool would be deleted under a joiner. Versions guard single resources only.
 */
export function createSerial(): Serial {
  const places = new Set<Place>()

  function run<T>(keys: ReadonlySet<string> | undefined, work: () => Promise<T>): Promise<T> {
    const before = [...places].filter((place) => isShared(keys, place.keys)).map(({ ended }) => ended)
    const result = Promise.all(before).then(work)
    const place: Place = { keys, ended: result.catch(() => {}).then(() => places.delete(place)) }
    places.add(place)
    return result
  }

  return Object.assign(<T>(work: () => Promise<T>) => run(undefined, work), {
    beside: <T>(keys: readonly string[], work: () => Promise<T>) => run(new Set(keys), work),
  })
}

function isShared(a: ReadonlySet<string> | undefined, b: ReadonlySet<string> | undefined): boolean {
  return a === undefined || b === undefined || !a.isDisjointFrom(b)
}

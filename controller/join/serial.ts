/** Runs one piece of work at a time, in the order given. */
export type Serial = <T>(work: () => Promise<T>) => Promise<T>

/**
 * Who looks at all VMs and then writes one must not overlap with another who does: two joiners would get the
 * same address, or a pool would be deleted under a joiner. Versions guard single resources only.
 */
export function createSerial(): Serial {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }
}

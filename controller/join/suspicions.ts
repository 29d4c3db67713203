/** Since when newcomers with the key of a VM that is alive elsewhere have been told to wait. */
export interface Suspicions {
  since(vm: string, newcomer: string, now: number): number | undefined
  note(vm: string, newcomer: string, now: number): void
  forget(vm: string): void
}

const lifeMs = 10 * 60_000
const keep = 10_000

/** Kept in memory: after a restart of the controller a clone is told to wait once more. */
export function createSuspicions(): Suspicions {
  const notes = new Map<string, { readonly newcomer: string; readonly since: number }>()

  function since(vm: string, newcomer: string, now: number): number | undefined {
    const note = notes.get(vm)
    if (note === undefined || note.newcomer !== newcomer || now - note.since > lifeMs) return undefined
    return note.since
  }

  return {
    since,
    note(vm, newcomer, now) {
      if (since(vm, newcomer, now) !== undefined) return
      const oldest = notes.keys().next().value
      if (notes.size >= keep && oldest !== undefined) notes.delete(oldest)
      notes.set(vm, { newcomer, since: now })
    },
    forget: (vm) => void notes.delete(vm),
  }
}

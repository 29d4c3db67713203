import type { ResourceStore, Stored } from '../store/resource-store.ts'

/** Who has which address, kept beside the store: a join is judged without looking at every VM there is. */
export interface Neighbours {
  /** VMs that the store has at one of these addresses at the time of the call, but for the one of that name. */
  at(addresses: readonly string[], but: string): Promise<readonly Stored<'vm'>[]>
}

export function createNeighbours({
  store,
}: {
  readonly store: Pick<ResourceStore, 'get' | 'list' | 'onChange'>
}): Neighbours {
  const byAddress = new Map<string, Set<string>>()
  const addressOf = new Map<string, string>()
  /** Written since they were last looked at. */
  const changed = new Set<string>()
  let isListed = false
  let taking = Promise.resolve()

  store.onChange((kind, name) => {
    if (kind === 'vm' && isListed) changed.add(name)
  })

  function put(name: string, address: string | undefined): void {
    const before = addressOf.get(name)
    if (before === address) return
    if (before !== undefined) {
      const names = byAddress.get(before)
      names?.delete(name)
      if (names?.size === 0) byAddress.delete(before)
    }
    if (address === undefined) {
      addressOf.delete(name)
      return
    }
    addressOf.set(name, address)
    byAddress.set(address, (byAddress.get(address) ?? new Set()).add(name))
  }

  async function takeIn(): Promise<void> {
    if (!isListed) {
      // From here on: what is written while the list is read is looked at once more.
      isListed = true
      try {
        for (const { name, value } of await store.list('vm')) put(name, value.address)
      } catch (error) {
        isListed = false
        throw error
      }
    }
    for (const name of changed) {
      // Before it is read, so that a write meanwhile puts it back.
      changed.delete(name)
      put(name, (await store.get('vm', name))?.value.address)
    }
  }

  return {
    async at(addresses, but) {
      taking = taking.catch(() => {}).then(takeIn)
      await taking
      const names = new Set(addresses.flatMap((address) => [...(byAddress.get(address) ?? [])]))
      names.delete(but)
      const found = await Promise.all([...names].map((name) => store.get('vm', name)))
      return found.filter((vm) => vm !== undefined)
    },
  }
}

import type { ResourceStore } from './resource-store.ts'

/** `<namespace>/<service account>` of every pool: the identities that tokens may be minted for. */
export interface Declared {
  current(): ReadonlySet<string>
  close(): void
}

/** Follows the store. */
export async function createDeclared(store: ResourceStore): Promise<Declared> {
  let identities: ReadonlySet<string> = new Set()
  const load = async () => {
    const pools = await store.list('pool')
    identities = new Set(pools.map(({ value }) => `${value.spec.namespace}/${value.spec.serviceAccount}`))
  }
  const stop = store.onChange((kind) => {
    if (kind === 'pool') void load()
  })
  await load()
  return { current: () => identities, close: stop }
}

import { createClient } from '../../../controller/kubernetes/client.ts'
import { createConnection } from '../../../controller/kubernetes/connection.ts'
import { readAccess } from '../../../controller/kubernetes/kubeconfig.ts'
import type { KubernetesObject } from '../../../controller/kubernetes/resource.ts'
import { createWatch } from '../../../controller/kubernetes/watch.ts'
import { meshTypes } from '../../../controller/mesh/kubernetes/resource-types.ts'
import { systemClock } from '../../../shared/clock.ts'
import { silentLog } from '../../../shared/log.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'

/** The health of all entries of a cluster as istiod is told it, seen by a watch of its own. */
export interface EntryHealth {
  /** When the entry was first seen so; in milliseconds of the monotonic clock. */
  becomes(vm: string, open: boolean): Promise<number>
  /** Entries that closed though nobody waited for it. */
  readonly closedUnasked: ReadonlySet<string>
  readonly open: number
  close(): Promise<void>
}

type Entry = KubernetesObject & {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

const limitMs = 60_000

/** Resolves when everything that is there is known. */
export async function watchEntryHealth(kubeconfig: string): Promise<EntryHealth> {
  const connection = createConnection({ access: () => readAccess({ file: kubeconfig }), clock: systemClock })
  const stop = new AbortController()
  const opened = new Map<string, boolean>()
  const closedUnasked = new Set<string>()
  const waiting = new Map<string, { readonly open: boolean; readonly found: (at: number) => void }>()

  function see(entry: Entry): void {
    const at = monotonicMs()
    const { name } = entry.metadata
    const isOpen = (entry.status?.conditions ?? []).some(
      ({ type, status }) => type === 'Healthy' && status === 'True',
    )
    const wanted = waiting.get(name)
    if (opened.get(name) === true && !isOpen && wanted?.open !== false) closedUnasked.add(name)
    opened.set(name, isOpen)
    if (wanted?.open === isOpen) wanted.found(at)
  }

  function gone({ metadata: { name } }: Entry): void {
    if (opened.get(name) === true) closedUnasked.add(name)
    opened.delete(name)
  }

  const watch = createWatch<Entry>({
    client: createClient({ connection, unavailable: 'MESH_UNAVAILABLE' }),
    type: meshTypes.WorkloadEntry,
    listener: {
      replaced: (entries) => {
        for (const entry of entries) see(entry)
      },
      changed: see,
      gone,
    },
    clock: systemClock,
    log: silentLog,
    random: Math.random,
  })
  const running = watch.run(stop.signal)
  await watch.listed

  return {
    becomes(vm, open) {
      return new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(limit)
          waiting.delete(vm)
        }
        const limit = setTimeout(() => {
          settle()
          reject(new Error(`the entry of ${vm} did not become ${open ? 'open' : 'closed'}`))
        }, limitMs)
        waiting.set(vm, {
          open,
          found(at) {
            settle()
            resolve(at)
          },
        })
      })
    },
    closedUnasked,
    get open() {
      return [...opened.values()].filter((isOpen) => isOpen).length
    },
    async close() {
      stop.abort()
      await running
      connection.close()
    },
  }
}

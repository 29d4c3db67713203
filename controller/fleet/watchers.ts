import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { VmView } from './views.ts'

/** What changed in the eyes of who watches. */
export type FleetEvent =
  | { readonly kind: 'vm'; readonly view: VmView }
  | { readonly kind: 'gone'; readonly id: string }

/** Those who are told of every change. */
export interface Watchers {
  /** Something about this VM changed; one that is not there any more is gone. */
  tell(vm: string): void
  subscribe(listener: (event: FleetEvent) => void): () => void
  close(): void
}

export interface WatchersDeps {
  readonly log: Log
  readonly view: (vm: string) => VmView | undefined
}

export function createWatchers(deps: WatchersDeps): Watchers {
  const listeners = new Set<(event: FleetEvent) => void>()
  return {
    tell(vm) {
      if (listeners.size === 0) return
      const view = deps.view(vm)
      const event: FleetEvent = view === undefined ? { kind: 'gone', id: vm } : { kind: 'vm', view }
      for (const listener of [...listeners]) {
        try {
          listener(event)
        } catch (error) {
          deps.log.error('a listener of the fleet failed', { error: errorText(error) })
        }
      }
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: () => listeners.clear(),
  }
}

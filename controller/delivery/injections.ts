import type { InjectionView } from '../../shared/api/injection.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { InjectionRequest, Injector } from './ssh/injector.ts'

export interface InjectionsDeps {
  readonly injector: Injector
  readonly clock: Clock
}

/** What operators asked for, as long as it is of interest: a restart of the controller forgets it, and a repetition goes on. */
export interface Injections {
  /** Begins, and gives the view of the beginning. Throws what stands against the request as a whole. */
  begin(id: string, request: InjectionRequest): Promise<InjectionView>
  /** Newest first. */
  list(): readonly InjectionView[]
  /** Those under way end where they are. */
  close(): Promise<void>
}

const mostKept = 100
const mostRunning = 32

export function createInjections({ injector, clock }: InjectionsDeps): Injections {
  const views = new Map<string, InjectionView>()
  const running = new Map<string, Promise<unknown>>()
  const stop = new AbortController()

  function keep(view: InjectionView): void {
    views.set(view.id, view)
    for (const { id } of [...views.values()].filter((one) => one.finishedAt !== undefined)) {
      if (views.size <= mostKept) return
      views.delete(id)
    }
  }

  return {
    async begin(id, request) {
      if (running.size >= mostRunning || stop.signal.aborted) {
        throw new MooringError('UNAVAILABLE', { detail: 'too many injections run', retryAfterSeconds: 30 })
      }
      await injector.check(request)
      const { pool, by, action = 'inject' } = request
      const first: InjectionView = { id, pool, action, by, createdAt: clock.now(), vms: [] }
      keep(first)
      const changed = (vms: InjectionView['vms']) => {
        views.set(id, { ...first, vms: [...vms] })
      }
      const run = injector
        .run(request, (vms) => changed([...vms]), stop.signal)
        .then((vms) => keep({ ...first, vms: [...vms], finishedAt: clock.now() }))
        .finally(() => running.delete(id))
      running.set(id, run)
      run.catch(() => {})
      return views.get(id) ?? first
    },
    list: () => [...views.values()].toReversed(),
    async close() {
      stop.abort(new MooringError('UNAVAILABLE', { detail: 'the controller stops' }))
      await Promise.allSettled(running.values())
    },
  }
}

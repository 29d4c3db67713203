import { MooringError } from '../../shared/errors.ts'
import type { Replicas } from './replicas.ts'

/** The time in which this replica leads, and what it does as the one that does. */
export interface Lead {
  /** Whether it leads at this moment. */
  readonly holds: boolean
  /** It leads until aborted; resolves when nothing that it began as the lead is under way any more. */
  run(signal: AbortSignal): Promise<void>
  /** Work of the lead; its signal is aborted with the lead, too. Throws `UNAVAILABLE` when it does not lead. */
  doing<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>
}

export interface LeadDeps {
  readonly replicas: Pick<Replicas, 'several' | 'leads'>
  /** It began or ended to lead. */
  readonly changed: () => void
}

export function createLead({ replicas, changed }: LeadDeps): Lead {
  let term: AbortSignal | undefined
  const underWay = new Set<Promise<unknown>>()
  const holds = () => replicas.leads() && (!replicas.several || (term !== undefined && !term.aborted))

  return {
    get holds() {
      return holds()
    },
    async run(signal) {
      term = signal
      // Who is alone has led all the time.
      if (replicas.several) changed()
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.allSettled([...underWay])
      if (term === signal) term = undefined
      if (replicas.several) changed()
    },
    async doing(signal, work) {
      if (!holds()) throw new MooringError('UNAVAILABLE', { detail: 'this replica does not lead' })
      const done = work(term === undefined ? signal : AbortSignal.any([signal, term]))
      underWay.add(done)
      try {
        return await done
      } finally {
        underWay.delete(done)
      }
    },
  }
}

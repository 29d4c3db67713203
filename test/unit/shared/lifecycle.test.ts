import fc from 'fast-check'
import t from 'tap'
import {
  events,
  hasEndpoint,
  hasEntry,
  type LifecycleEvent,
  next,
  type Phase,
  phases,
} from '../../../shared/lifecycle.ts'

const anyEvents = fc.array(fc.constantFrom(...events), { maxLength: 30 })

t.test('every phase reaches left by the single event leave', async (t) => {
  for (const phase of phases) t.equal(next(phase, 'leave'), 'left', phase)
})

t.test('replaying any event changes nothing', async (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...phases), fc.constantFrom(...events), (phase, event) => {
      const once = next(phase, event)
      return next(once, event) === once
    }),
  )
  t.pass('each event is idempotent in each phase')
})

t.test('no path opens an endpoint in any phase but ready', async (t) => {
  fc.assert(
    fc.property(anyEvents, (path: LifecycleEvent[]) => {
      let phase: Phase = 'joining'
      for (const event of path) {
        phase = next(phase, event)
        if (hasEndpoint(phase) !== (phase === 'ready')) return false
        if (hasEndpoint(phase) && !hasEntry(phase)) return false
      }
      return true
    }),
  )
  t.same(
    phases.filter((p) => hasEndpoint(p)),
    ['ready'],
  )
})

t.test('a draining VM never becomes ready without leaving first', async (t) => {
  fc.assert(
    fc.property(anyEvents, (path: LifecycleEvent[]) => {
      let phase: Phase = 'draining'
      for (const event of path) {
        const before: Phase = phase
        phase = next(phase, event)
        if (before === 'draining' && phase === 'ready') return false
      }
      return true
    }),
  )
  t.equal(next('draining', 'healthy'), 'draining')
})

t.test('lost VMs come back by their health, and grace ends in left', async (t) => {
  t.equal(next('lost', 'healthy'), 'ready')
  t.equal(next('lost', 'unhealthy'), 'unhealthy')
  t.equal(next('lost', 'leave'), 'left')
  for (const phase of ['joining', 'joined', 'ready', 'unhealthy', 'draining'] as const) {
    t.equal(next(phase, 'vanish'), 'lost', phase)
  }
})

import t from 'tap'
import { createInjections } from '../../../../controller/delivery/injections.ts'
import type { InjectionRequest, Injector } from '../../../../controller/delivery/ssh/injector.ts'
import type { InjectedVm } from '../../../../shared/api/injection.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const request: InjectionRequest = {
  ...{ pool: 'web', credential: 'cloud', by: 'operator:ada' },
  targets: [{ host: '10.0.0.7' }],
}
const one: InjectedVm = { host: '10.0.0.7', port: 22, state: 'running', step: 'looking', reconnects: 0 }

/** An injector whose runs end when the test says so. */
function open(check: Injector['check'] = async () => {}) {
  const ends: (() => void)[] = []
  const injector: Injector = {
    check,
    run: (_request, changed, signal) =>
      new Promise((resolve) => {
        changed([one])
        const end = () => resolve([{ ...one, state: signal.aborted ? 'failed' : 'done' }])
        signal.addEventListener('abort', end, { once: true })
        ends.push(end)
      }),
  }
  return { injections: createInjections({ injector, clock: createFakeClock() }), ends }
}

t.test('an injection is seen from its beginning to its end', async (t) => {
  const { injections, ends } = open()
  const first = await injections.begin('inj-1', request)
  t.match(first, { id: 'inj-1', pool: 'web', action: 'inject', vms: [{ state: 'running' }] })
  t.equal(first.finishedAt, undefined)
  ends[0]?.()
  await new Promise(setImmediate)
  t.match(injections.list(), [{ vms: [{ state: 'done' }], finishedAt: Number }])
})

t.test('what stands against it as a whole is told at once, and nothing is kept', async (t) => {
  const { injections } = open(async () => {
    throw new MooringError('NOT_FOUND')
  })
  await t.rejects(injections.begin('inj-1', request), { code: 'NOT_FOUND' })
  t.same(injections.list(), [])
})

t.test('so many run, so many are kept, and the end of the controller ends them', async (t) => {
  const { injections, ends } = open()
  for (let n = 0; n < 150; n += 1) {
    await injections.begin(`inj-${n}`, request)
    ends[n]?.()
    await new Promise(setImmediate)
  }
  t.equal(injections.list().length, 100)
  t.equal(injections.list()[0]?.id, 'inj-149', 'newest first')
  for (let n = 0; n < 32; n += 1) await injections.begin(`more-${n}`, request)
  await t.rejects(injections.begin('one-more', request), { code: 'UNAVAILABLE' })
  await injections.close()
  t.ok(injections.list().every(({ finishedAt }) => finishedAt !== undefined))
})

import t from 'tap'
import { departures } from '../../../../../controller/lcm/tacker/departures.ts'
import { isUnderWay, type Operation, parseOperation } from '../../../../../controller/lcm/tacker/operation.ts'
import { parseVnf } from '../../../../../controller/lcm/tacker/vnf.ts'
import { answer } from './captures.ts'

const vnf = parseVnf(answer('v2/instance-after-scale-out'))
const all = vnf.servers.map(({ server }) => server)
const aspects = { web_scale: { web: 1 } }
const operation = (file: string) => parseOperation(answer(file))
const leaving = (one: Pick<Operation, 'type' | 'scale' | 'healed' | 'stops'>, isAutoscaled = false) =>
  departures(one, vnf, { aspects, isAutoscaled })

t.test('the servers foreseen for a scale-in are those that Tacker took', async (t) => {
  const scaled = operation('v2/lcmocc-scale-in')
  t.equal(scaled.removed.length, 1)
  t.same(leaving(scaled), { servers: scaled.removed })
  t.same(leaving({ ...scaled, scale: { direction: 'in', aspect: 'web_scale', steps: 2 } }).servers.length, 2)
})

t.test('terminate, heal and stop', async (t) => {
  const gone = operation('v2/lcmocc-terminate')
  t.same(leaving(gone).servers, all)
  const healed = operation('v2/lcmocc-heal')
  t.same(leaving(healed).servers, healed.removed)
  t.equal(healed.added.length, 1)
  t.same(leaving({ ...healed, healed: [] }).servers, all)
  t.same(leaving({ type: 'OPERATE', healed: [], stops: true }).servers, all)
  t.same(leaving({ type: 'OPERATE', healed: [], stops: false }).servers, [])
})

t.test('operations that take nothing', async (t) => {
  for (const file of ['instantiate', 'scale-out', 'scale-out-failed', 'modify', 'retry', 'rollback']) {
    t.same(leaving(operation(`v2/lcmocc-${file}`)), { servers: [] }, file)
  }
  t.same(leaving(operation('v1/lcmocc')), { servers: [] })
})

t.test('where nobody can know, it is said', async (t) => {
  const scaled = operation('v2/lcmocc-scale-in')
  t.match(leaving(scaled, true), { servers: [], unknown: /Heat chooses/ })
  const other = { ...scaled, scale: { direction: 'in' as const, aspect: 'db_scale', steps: 1 } }
  t.match(leaving(other), { servers: [], unknown: /db_scale/ })
})

t.test('every operation that Tacker showed is read; which are under way', async (t) => {
  t.match(operation('v2/lcmocc-scale-out'), {
    type: 'SCALE',
    state: 'COMPLETED',
    scale: { direction: 'out' },
  })
  t.match(operation('v1/lcmocc'), { type: 'INSTANTIATE', added: { length: 2 } })
  t.same(
    (
      ['STARTING', 'PROCESSING', 'COMPLETED', 'FAILED_TEMP', 'FAILED', 'ROLLING_BACK', 'ROLLED_BACK'] as const
    ).filter((state) => isUnderWay({ state })),
    ['STARTING', 'PROCESSING'],
  )
  for (const body of [{}, { ...(answer('v1/lcmocc') as object), operation: 'DANCE' }]) {
    t.throws(() => parseOperation(body), { code: 'LCM_ANSWER_INVALID' })
  }
})

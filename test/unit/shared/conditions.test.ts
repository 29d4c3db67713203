import fc from 'fast-check'
import t from 'tap'
import {
  type Condition,
  conditionCatalogue,
  conditionStatuses,
  conditionTypes,
  firstFault,
  withCondition,
} from '../../../shared/conditions.ts'

const change = fc.record({
  type: fc.constantFrom(...conditionTypes),
  status: fc.constantFrom(...conditionStatuses),
  reason: fc.constantFrom('Started', 'Stopped'),
  message: fc.constantFrom('', 'because'),
})

t.test('the catalogue orders its causes, each at a place of its own', async (t) => {
  const orders = conditionTypes.map((type) => conditionCatalogue[type].order)
  t.equal(new Set(orders).size, orders.length)
  t.same(
    orders,
    orders.toSorted((a, b) => a - b),
  )
})

t.test('a list holds each type once, in order, with the last word on it', async (t) => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      let list: readonly Condition[] = []
      changes.forEach((one, index) => {
        list = withCondition(list, one, index)
      })
      const types = list.map((c) => c.type)
      const orders = types.map((type) => conditionCatalogue[type].order)
      return (
        new Set(types).size === types.length &&
        orders.every((order, index) => index === 0 || order > (orders[index - 1] ?? 0)) &&
        list.every((c) => changes.findLast((one) => one.type === c.type)?.status === c.status)
      )
    }),
  )
  t.pass('for all sequences of changes')
})

t.test('since moves with the status and with nothing else', async (t) => {
  const base = { type: 'SidecarRunning', status: 'True', reason: 'Started', message: '' } as const
  const first = withCondition([], base, 10)
  t.equal(withCondition(first, base, 20), first, 'the same condition is the same list')
  t.equal(withCondition(first, { ...base, message: 'pid 7' }, 20)[0]?.since, 10)
  t.equal(withCondition(first, { ...base, status: 'False' }, 20)[0]?.since, 20)
})

t.test('the first fault is the earliest step that is not True', async (t) => {
  const list = (entries: Partial<Record<Condition['type'], Condition['status']>>): Condition[] =>
    Object.entries(entries).map(([type, status]) => ({
      type: type as Condition['type'],
      status,
      reason: 'R',
      message: '',
      since: 0,
    }))
  t.equal(firstFault([]), undefined)
  t.equal(firstFault(list({ Admitted: 'True', Ready: 'False', Drained: 'False' })), undefined)
  t.equal(
    firstFault(list({ EndpointOpen: 'False', SidecarReady: 'Unknown', Admitted: 'True' }))?.type,
    'SidecarReady',
  )
})

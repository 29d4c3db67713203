import t from 'tap'
import { belongingOf, mergedMark } from '../../../../agent/join/belonging.ts'

t.test('a state belongs to the machine whose marks it has', async (t) => {
  const then = { machineId: 'm', instanceId: 'i-1' }
  t.equal(belongingOf(then, then), 'own')
  t.match(belongingOf(then, { ...then, instanceId: 'i-2' }), {
    differs: 'its instance-id is i-2, and was i-1',
  })
  t.match(belongingOf(then, { ...then, machineId: 'n' }), { differs: 'its machine-id is another' })
})

t.test('what one side does not know says nothing', async (t) => {
  t.equal(belongingOf(undefined, { machineId: 'm' }), 'own', 'a state of a former version')
  t.equal(
    belongingOf({ machineId: 'm' }, { machineId: 'm', instanceId: 'i-1' }),
    'own',
    'cloud-init came later',
  )
  t.equal(belongingOf({ machineId: 'm', instanceId: 'i-1' }, { machineId: 'm' }), 'own', 'or found no source')
  t.equal(belongingOf({ machineId: 'm' }, {}), 'own')
  t.same(mergedMark({ machineId: 'm', instanceId: 'i-1' }, { machineId: 'm' }), {
    machineId: 'm',
    instanceId: 'i-1',
  })
})

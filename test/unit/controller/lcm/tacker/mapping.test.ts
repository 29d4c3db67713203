import t from 'tap'
import { joinFlag, type MappingRule, mapVnf } from '../../../../../controller/lcm/tacker/mapping.ts'
import { parseVnf, type Vnf } from '../../../../../controller/lcm/tacker/vnf.ts'
import { answer } from './captures.ts'

const asked = (vnf: Vnf, more: Readonly<Record<string, string>> = {}): Vnf => ({
  ...vnf,
  metadata: { [joinFlag]: 'true', ...more },
})
const vnf = asked(parseVnf(answer('v2/instance-after-scale-out')))

t.test('servers of both interfaces go to the pool of the first rule that fits', async (t) => {
  const rules: readonly MappingRule[] = [
    { product: 'another', pool: 'never' },
    { product: 'mesh-sample', vdu: 'web', pool: 'web', labels: { tier: 'front' } },
    { provider: 'MeshTest', pool: 'rest' },
  ]
  for (const one of [vnf, asked(parseVnf(answer('v1/instance')))]) {
    const { assigned, unmapped } = mapVnf(one, rules)
    t.same(
      assigned.map(({ vdu, pool, labels }) => [vdu, pool, labels]),
      one.servers.map(({ vdu }) => (vdu === 'web' ? [vdu, 'web', { tier: 'front' }] : [vdu, 'rest', {}])),
    )
    t.same(unmapped, [])
  }
})

t.test('a VDU without a rule is named once, and left alone', async (t) => {
  const { assigned, unmapped } = mapVnf(vnf, [{ vnfd: vnf.vnfd, vdu: 'db', pool: 'db' }])
  t.same(
    assigned.map(({ vdu }) => vdu),
    ['db'],
  )
  t.same(unmapped, ['web'])
})

t.test('what does not ask for the mesh is not in it', async (t) => {
  const any: readonly MappingRule[] = [{ pool: 'all' }]
  const none = { assigned: [], unmapped: [] }
  t.equal(mapVnf(vnf, any).assigned.length, 3)
  t.same(mapVnf({ ...vnf, metadata: {} }, any), none)
  t.same(mapVnf({ ...vnf, metadata: { [joinFlag]: 'false' } }, any), none)
  t.same(mapVnf({ ...vnf, isInstantiated: false }, any), none)
})

t.test('metadata of the instance chooses among rules, and only if all of it fits', async (t) => {
  const rules: readonly MappingRule[] = [
    { metadata: { stage: 'canary', region: 'north' }, pool: 'canary' },
    { pool: 'stable' },
  ]
  const pools = (more: Readonly<Record<string, string>>) =>
    new Set(mapVnf(asked(vnf, more), rules).assigned.map(({ pool }) => pool))
  t.same(pools({ stage: 'canary', region: 'north' }), new Set(['canary']))
  t.same(pools({ stage: 'canary' }), new Set(['stable']))
})

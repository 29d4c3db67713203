import t from 'tap'
import {
  holderOf,
  isOwn,
  ownedLabels,
  ownerValue,
  ownPart,
  ownSelector,
} from '../../../../../controller/mesh/kubernetes/ownership.ts'
import { evictionPolicy } from '../../../../../controller/mesh/objects.ts'
import { vmOf } from '../sample.ts'

const owner = 'mooring-system/mooring'
const labels = ownedLabels(evictionPolicy('vm-1', vmOf()), owner)

t.test('an object is ours by two labels', async (t) => {
  t.ok(isOwn({ name: 'a', labels }, owner))
  t.notOk(isOwn({ name: 'a', labels }, 'other/mooring'))
  t.notOk(isOwn({ name: 'a', labels: { ...labels, 'app.kubernetes.io/managed-by': 'Helm' } }, owner))
  t.notOk(isOwn({ name: 'a' }, owner))
  const selected = ownSelector(owner).split(',')
  t.same(
    selected.map((one) => one.split('=')).map(([key = '', value]) => labels[key] === value),
    [true, true],
  )
})

t.test('any owner is a label value, and different ones stay different', async (t) => {
  const owners = ['a', 'a/b', 'a-b', '/', 'x'.repeat(100), `${'x'.repeat(100)}y`, '-a']
  const values = owners.map(ownerValue)
  for (const value of values) t.match(value, /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
  t.equal(new Set(values).size, owners.length)
})

t.test('what others hold is told from what is ours', async (t) => {
  const fieldsV1 = (part: string, ...keys: string[]) => ({
    'f:metadata': {
      [`f:${part}`]: Object.fromEntries(['.', ...keys.map((key) => `f:${key}`)].map((k) => [k, {}])),
    },
  })
  const metadata = {
    name: 'a',
    labels: { ...labels, mine: '1', theirs: '2', taken: '3' },
    managedFields: [
      { manager: 'mooring', operation: 'Apply', fieldsV1: fieldsV1('labels', 'mine', 'mesh.mooring/owner') },
      { manager: 'mooring', subresource: 'status', fieldsV1: fieldsV1('labels', 'taken') },
      { manager: 'kubectl', fieldsV1: fieldsV1('labels', 'theirs', 'taken') },
    ],
  }
  t.same(ownPart(metadata, 'labels'), { mine: '1' })
  t.same(ownPart(metadata, 'annotations'), {})
  t.same(
    ownPart({ name: 'a', labels }, 'labels'),
    {},
    'without a record nothing is ours: it is written again',
  )
  t.equal(holderOf(metadata), 'the installation mooring-system-mooring-'.concat(ownerValue(owner).slice(-12)))
  t.equal(holderOf({ name: 'a', managedFields: [{ manager: 'helm' }] }), 'helm')
  t.equal(holderOf({ name: 'a' }), 'somebody else')
})

import t from 'tap'
import { keyOfOwner, vmOfKey, workKeys } from '../../../../controller/fleet/work-keys.ts'
import { evictionPolicy, poolObjects, refOf, workloadEntry } from '../../../../controller/mesh/objects.ts'
import { poolOf, vmOf, webSpec } from '../mesh/sample.ts'

t.test('each object is the business of a VM, or of all pools', async (t) => {
  const pool = poolOf(webSpec)
  const entry = workloadEntry({ vm: 'vm-1', record: vmOf(), poolName: 'web', pool, health: 'none' })
  for (const object of [entry, evictionPolicy('vm-1', vmOf())]) {
    t.equal(keyOfOwner(refOf(object)), workKeys.vm('vm-1'), object.kind)
  }
  for (const object of poolObjects('web', pool, { address: '' }, 'kubernetes')) {
    t.equal(keyOfOwner(refOf(object)), workKeys.pools, object.kind)
  }
  t.equal(vmOfKey(workKeys.vm('vm-1')), 'vm-1')
})

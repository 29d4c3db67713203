import t from 'tap'
import type { KnownObject } from '../../../../../controller/mesh/kubernetes/cluster-object.ts'
import {
  healthDiffers,
  statusBody,
  wantedHealth,
} from '../../../../../controller/mesh/kubernetes/health-condition.ts'
import { workloadEntry } from '../../../../../controller/mesh/objects.ts'
import { poolOf, vmOf, webSpec } from '../sample.ts'

const entry = (health: 'open' | 'closed' | 'none') =>
  workloadEntry({ vm: 'vm-1', record: vmOf(), poolName: 'web', pool: poolOf(webSpec), health })
const since = '2026-01-01T00:00:00.000Z'
const known = (health: 'open' | 'closed' | 'none', observedGeneration = 3): KnownObject => ({
  object: entry(health),
  uid: 'u',
  resourceVersion: '9',
  generation: 3,
  ...(health !== 'none' && {
    health: { status: health === 'open' ? 'True' : 'False', since, observedGeneration },
  }),
})

t.test('the status is written when it says something else, or of an older spec', async (t) => {
  t.notOk(healthDiffers(undefined, undefined))
  t.notOk(healthDiffers(known('none'), undefined))
  t.ok(healthDiffers(known('open'), undefined), 'a condition that should not be there')
  t.ok(healthDiffers(known('none'), 'False'))
  t.ok(healthDiffers(known('open'), 'False'))
  t.notOk(healthDiffers(known('open'), 'True'))
  t.ok(healthDiffers(known('open', 2), 'True'))
  const crowded = { ...entry('open'), status: { conditions: [{ type: 'Healthy' }, { type: 'Else' }] } }
  t.ok(healthDiffers({ ...known('open'), object: crowded }, 'True'), 'the list is ours alone')
})

t.test('the transition time moves with the status alone', async (t) => {
  const now = Date.parse('2026-02-02T00:00:00Z')
  t.same(wantedHealth(entry('none')), undefined)
  t.match(statusBody(entry('open'), known('open', 2), now), {
    metadata: { uid: 'u', name: 'vm-1', namespace: 'shop' },
    status: { conditions: [{ status: 'True', lastTransitionTime: since, observedGeneration: 3 }] },
  })
  t.match(statusBody(entry('closed'), known('open'), now), {
    status: { conditions: [{ status: 'False', lastTransitionTime: '2026-02-02T00:00:00.000Z' }] },
  })
  t.same((statusBody(entry('none'), known('open'), now) as { status: unknown }).status, { conditions: [] })
})

import t from 'tap'
import { replicaName } from '../../../../controller/kubernetes/lease-replicas.ts'
import { sharedKey } from '../../../../controller/kubernetes/shared-key.ts'
import { startApiServer } from '../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { clientOf } from '../../../fakes/kubernetes-store.ts'

const authority = await createTestAuthority('API server')
const { signal } = new AbortController()

t.test('replicas that start together have one key', async (t) => {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  const at = { namespace: 'mooring-system', name: 'mooring-challenges' }
  const keys = await Promise.all([1, 2, 3].map(() => sharedKey(clientOf(t, server.kubeconfig), at, signal)))
  const texts = keys.map((key) => Buffer.from(key).toString('hex'))
  t.match(texts[0], /^[0-9a-f]{64}$/)
  t.same(texts, [texts[0], texts[0], texts[0]])
})

t.test('the name of a replica may be part of an object’s, and differs after each start', async (t) => {
  t.equal(replicaName('mooring-7c9f-x2', 'a1b2c3'), 'mooring-7c9f-x2-a1b2c3')
  t.equal(replicaName('Host.Example.ORG', 'a1'), 'host-example-org-a1')
  t.equal(replicaName('__', 'a1'), 'controller-a1')
  t.ok(replicaName('x'.repeat(300), 'a1').length <= 70)
})

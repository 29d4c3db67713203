import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openCluster } from '../../../../controller/kubernetes/cluster-access.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const folder = mkdtempSync(join(tmpdir(), 'mooring-cluster-'))
const clock = createFakeClock()
const nothing = { kubeconfig: '', context: '', namespace: '', inCluster: undefined, clock }

function kubeconfig(context: object): string {
  const file = join(folder, `${JSON.stringify(context).length}.yaml`)
  const tree = {
    clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [
      { name: 'first', context: { cluster: 'a', user: 'u', ...context } },
      { name: 'second', context: { cluster: 'a', user: 'u', namespace: 'other' } },
    ],
    'current-context': 'first',
  }
  writeFileSync(file, JSON.stringify(tree))
  return file
}

t.test('the namespace is what is said first: configuration, context, pod', async (t) => {
  const named = kubeconfig({ namespace: 'of-context' })
  const open = async (over: object) => {
    const cluster = await openCluster({ ...nothing, ...over })
    cluster.close()
    return cluster.namespace
  }
  t.equal(await open({ kubeconfig: named, namespace: 'of-config' }), 'of-config')
  t.equal(await open({ kubeconfig: named }), 'of-context')
  t.equal(await open({ kubeconfig: named, context: 'second' }), 'other')
  for (const [name, text] of Object.entries({ namespace: 'of-pod', token: 't', 'ca.crt': '' })) {
    writeFileSync(join(folder, name), text)
  }
  t.equal(await open({ inCluster: { host: '127.0.0.1', port: '1', folder } }), 'of-pod')
})

t.test('a cluster or a namespace that is said nowhere is a fault of the configuration', async (t) => {
  await t.rejects(openCluster(nothing), { code: 'CONFIG_INVALID', detail: /this is no pod/ })
  await t.rejects(openCluster({ ...nothing, kubeconfig: kubeconfig({}) }), {
    code: 'CONFIG_INVALID',
    detail: /mesh\.kubernetes\.namespace/,
  })
  await t.rejects(openCluster({ ...nothing, kubeconfig: '/no/such/file' }), {
    code: 'CONFIG_INVALID',
    detail: /\/no\/such\/file/,
  })
})

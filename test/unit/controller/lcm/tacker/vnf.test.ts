import t from 'tap'
import { parseVnf } from '../../../../../controller/lcm/tacker/vnf.ts'
import { answer } from './captures.ts'

t.test('an instance of version 2, newest server first', async (t) => {
  const vnf = parseVnf(answer('v2/instance-after-scale-out'))
  t.match(vnf, {
    id: 'ff48c19e-00f2-47f1-a343-b72be83f40a8',
    name: 'mesh-vnf-1',
    vnfd: 'b57ddfec-b877-4044-97e2-0b4bf7ab823c',
    provider: 'MeshTest',
    product: 'mesh-sample',
    isInstantiated: true,
  })
  t.same(
    vnf.servers.map(({ vdu, server }) => [vdu, server.slice(0, 8)]),
    [
      ['web', '7f10dd87'],
      ['db', '9178a0b1'],
      ['web', 'a4d6b77d'],
    ],
  )
  t.ok(vnf.servers.every(({ vnfc, server }) => vnfc === server))
})

t.test('an instance of version 1: its VNFCs have other ids than their servers', async (t) => {
  const vnf = parseVnf(answer('v1/instance'))
  t.match(vnf, { isInstantiated: true, product: 'mesh-sample', metadata: {} })
  t.match(vnf.servers, [
    { vdu: 'web', server: /^1780c7e2/, vnfc: /^cd8b079e/ },
    { vdu: 'db', server: /^62fc90d3/, vnfc: /^439bd989/ },
  ])
})

t.test('one that is not instantiated has no servers; of its metadata, text is read', async (t) => {
  for (const file of ['v2/instance-create', 'v2/instance-terminated']) {
    const vnf = parseVnf(answer(file))
    t.match(vnf, { isInstantiated: false, servers: [] }, file)
    t.same(vnf.metadata, {}, 'the capture has an object there')
  }
  const body = {
    ...(answer('v2/instance-create') as object),
    metadata: { a: 'b', c: true, d: { e: 1 }, f: 1 },
  }
  t.same(parseVnf(body).metadata, { a: 'b', c: 'true' })
})

t.test('pods of a VIM of Kubernetes are no servers', async (t) => {
  const good = answer('v2/instance-after-scale-out') as { instantiatedVnfInfo: object }
  const pod = {
    id: 'p',
    vduId: 'web',
    computeResource: { resourceId: 'web-0', vimLevelResourceType: 'Deployment' },
  }
  const body = { ...good, instantiatedVnfInfo: { ...good.instantiatedVnfInfo, vnfcResourceInfo: [pod] } }
  t.same(parseVnf(body).servers, [])
})

t.test('something else is refused with the field', async (t) => {
  const good = answer('v2/instance-create') as object
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [null, /instance/],
    ['<html>', /instance/],
    [{ ...good, id: 5 }, /instance\/id/],
    [{ ...good, instantiationState: 'PERHAPS' }, /instance\/instantiationState/],
    [{ ...good, instantiatedVnfInfo: { vnfcResourceInfo: [{}] } }, /instance\/instantiatedVnfInfo/],
  ]
  for (const [body, message] of bad) t.throws(() => parseVnf(body), { code: 'LCM_ANSWER_INVALID', message })
})

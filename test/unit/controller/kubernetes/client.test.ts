import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createClient } from '../../../../controller/kubernetes/client.ts'
import { createConnection } from '../../../../controller/kubernetes/connection.ts'
import { readAccess } from '../../../../controller/kubernetes/kubeconfig.ts'
import type { KubernetesObject, ResourceType } from '../../../../controller/kubernetes/resource.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { Secret } from '../../../../shared/secret.ts'
import { startApiServer } from '../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const authority = await createTestAuthority('API server')
const things: ResourceType = { group: 'test.mooring', version: 'v1', plural: 'things', kind: 'Thing' }
type Thing = KubernetesObject & { spec: { n: number } }
const thing = (name: string, n = 1): Thing => ({ metadata: { namespace: 'shop', name }, spec: { n } })

async function open(t: Test) {
  const server = await startApiServer(authority)
  const connection = createConnection({
    access: () => readAccess({ text: new Secret(server.kubeconfig) }),
    clock: systemClock,
    sockets: 8,
  })
  t.teardown(async () => {
    connection.close()
    await server.close()
  })
  return { server, connection, client: createClient({ connection, unavailable: 'STORE_UNAVAILABLE' }) }
}

t.test('an object is made, read, changed, listed and removed', async (t) => {
  const { client, connection } = await open(t)
  t.equal(await connection.namespace(), 'mooring-system')
  const made = await client.create<Thing>(things, thing('a'))
  t.equal((await client.get<Thing>(things, made.metadata as { name: string }))?.spec.n, 1)
  await client.replace<Thing>(things, { ...made, spec: { n: 2 } })
  await t.rejects(client.replace<Thing>(things, { ...made, spec: { n: 3 } }), {
    code: 'CONFLICT',
    detail: 'update things.test.mooring shop/a',
  })
  await t.rejects(client.create<Thing>(things, thing('a')), { code: 'CONFLICT' })
  const at = { namespace: 'shop', name: 'a' }
  await t.rejects(client.remove(things, at, { resourceVersion: '1' }), { code: 'CONFLICT' })
  t.equal(await client.remove(things, at), true)
  t.equal(await client.remove(things, at), false)
  t.equal(await client.get(things, at), undefined)
})

t.test('lists are read in pages', async (t) => {
  const { client, server } = await open(t)
  await Promise.all(Array.from({ length: 1201 }, (_, i) => client.create<Thing>(things, thing(`t${i}`))))
  const before = server.requests.length
  const { items, resourceVersion } = await client.list<Thing>(things)
  t.equal(new Set(items.map((item) => item.metadata.name)).size, 1201)
  t.match(resourceVersion, /^\d+$/)
  t.equal(server.requests.length - before, 3)
})

t.test('any number of requests goes over the kept connections', async (t) => {
  const { client, server } = await open(t)
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(
      Array.from({ length: 16 }, (_, i) => client.create<Thing>(things, thing(`c${round}-${i}`))),
    )
  }
  t.equal(server.requests.length, 160)
  t.ok(server.connections <= 8, `${server.connections} connections`)
})

t.test('every refusal says what was asked, in the words of the catalogue', async (t) => {
  const { client, server } = await open(t)
  const cases = [
    [403, 'KUBERNETES_FORBIDDEN'],
    [422, 'KUBERNETES_REFUSED'],
    [429, 'STORE_UNAVAILABLE'],
    [500, 'STORE_UNAVAILABLE'],
    [503, 'STORE_UNAVAILABLE'],
  ] as const
  for (const [status, code] of cases) {
    server.faults.refuse = () => status
    await t.rejects(client.create<Thing>(things, thing('a')), {
      code,
      detail: /^create things\.test\.mooring shop\/a/,
    })
  }
})

t.test('credentials that are no longer good are read again, once', async (t) => {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  let token = 'expired'
  let reads = 0
  const connection = createConnection({
    access: async () => {
      reads += 1
      return readAccess({ text: new Secret(server.kubeconfig.replace('good-token', token)) })
    },
    clock: createFakeClock(),
  })
  t.teardown(() => connection.close())
  const client = createClient({ connection, unavailable: 'MESH_UNAVAILABLE' })
  await t.rejects(client.list(things), { code: 'KUBERNETES_UNAUTHENTICATED' })
  t.equal(reads, 2)
  token = 'good-token'
  t.same((await client.list(things)).items, [])
  await client.list(things)
  t.equal(reads, 3)
})

t.test('a server that is not there, or says nothing, is unavailable', async (t) => {
  const { client, server } = await open(t)
  await server.close()
  await t.rejects(client.list(things), { code: 'STORE_UNAVAILABLE', detail: /list things.*ECONNREFUSED/ })
  const clock = createFakeClock()
  const silent = await startApiServer(authority)
  silent.faults.hang = true
  t.teardown(() => silent.close())
  const access = await readAccess({ text: new Secret(silent.kubeconfig) })
  const connection = createConnection({ access: async () => access, clock })
  t.teardown(() => connection.close())
  const late = createClient({ connection, unavailable: 'MESH_UNAVAILABLE' })
  const rejected = t.rejects(late.create(things, thing('a')), {
    code: 'MESH_UNAVAILABLE',
    detail: /15000 ms/,
  })
  await clock.untilSleeping()
  await clock.advance(15_000)
  await rejected
  const stop = new AbortController()
  const stopped = t.rejects(late.list(things, {}, { signal: stop.signal }), { message: 'stopped' })
  stop.abort(new Error('stopped'))
  await stopped
})

t.test('a kubeconfig is read from files, and its token file again and again', async (t) => {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  const folder = t.testdir({ token: 'first\n', 'ca.crt': authority.certificate, namespace: 'here\n' })
  const tree = JSON.parse(server.kubeconfig) as { users: unknown[] }
  tree.users = [{ name: 'test', user: { tokenFile: 'token' } }]
  writeFileSync(join(folder, 'config'), JSON.stringify(tree))
  const file = join(folder, 'config')
  t.equal((await readAccess({ file })).authorization?.reveal(), 'Bearer first')
  writeFileSync(join(folder, 'token'), 'second\n')
  t.equal((await readAccess({ file })).authorization?.reveal(), 'Bearer second')
  const pod = await readAccess({ inCluster: { host: 'fd00::1', port: '443', folder } })
  t.same(
    [pod.server.href, pod.namespace, pod.authorization?.reveal()],
    ['https://[fd00::1]/', 'here', 'Bearer second'],
  )
  t.equal(pod.tls.ca, authority.certificate)
  t.notMatch(JSON.stringify(pod), 'second')
})

t.test('a kubeconfig that cannot be used says why', async (t) => {
  const base = {
    clusters: [{ name: 'c', cluster: { server: 'https://x' } }],
    users: [{ name: 'u', user: {} }],
  }
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }]
  const read = (over: object) =>
    readAccess({ text: new Secret(JSON.stringify({ ...base, contexts, 'current-context': 'x', ...over })) })
  await t.resolves(read({}))
  await t.rejects(read({ 'current-context': 'y' }), { code: 'CONFIG_INVALID', detail: /context y/ })
  await t.rejects(read({ users: 'none' }), { code: 'CONFIG_INVALID', detail: /no users/ })
  await t.rejects(read({ clusters: [{ name: 'c', cluster: { server: 'http://x' } }] }), {
    code: 'CONFIG_INVALID',
    detail: /not https/,
  })
  const local = [
    { exec: { command: 'sh' } },
    { tokenFile: '/etc/shadow' },
    { 'token-file': '/etc/shadow' },
    { 'client-key': '/etc/shadow' },
    { 'auth-provider': { name: 'gcp' } },
  ]
  for (const user of local) {
    await t.rejects(read({ users: [{ name: 'u', user }] }), {
      code: 'CONFIG_INVALID',
      detail: /refused in a Secret/,
    })
  }
  await t.rejects(readAccess({ file: '/nonexistent/config' }), { code: 'CONFIG_INVALID' })
})

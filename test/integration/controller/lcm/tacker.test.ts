import t, { type Test } from 'tap'
import { createExchange } from '../../../../controller/lcm/exchange.ts'
import { createKeystone, type KeystoneAccess } from '../../../../controller/lcm/openstack/keystone.ts'
import { createNova } from '../../../../controller/lcm/openstack/nova.ts'
import { createTackerClient, type TackerApi } from '../../../../controller/lcm/tacker/client.ts'
import { systemClock } from '../../../../shared/clock.ts'
import { Secret } from '../../../../shared/secret.ts'
import {
  type Seen,
  type StandInAnswer,
  standInUser,
  startStandInOpenStack,
} from '../../../fakes/openstack.ts'
import { answer } from '../../../unit/controller/lcm/tacker/captures.ts'

const never = new AbortController().signal
const nothing: StandInAnswer = { status: 404, body: { status: 404, detail: 'VnfInstance not found.' } }

/** A controller's view of a stand-in cloud; what the Tacker in it says is what the real one said. */
async function scene(
  t: Test,
  reply: (seen: Seen) => StandInAnswer,
  { api = 'v2', access = {} }: { api?: TackerApi; access?: Partial<KeystoneAccess> } = {},
) {
  const cloud = await startStandInOpenStack(reply)
  const exchange = createExchange({ clock: systemClock, timeoutMs: 10_000 })
  t.teardown(async () => {
    exchange.close()
    await cloud.close()
  })
  const { user, project, password } = standInUser
  const keystone = createKeystone({
    access: { url: `${cloud.url}/v3`, user, project, password: async () => new Secret(password), ...access },
    exchange,
    clock: systemClock,
  })
  return {
    cloud,
    keystone,
    tacker: createTackerClient({ keystone, api }),
    nova: createNova({ keystone }),
  }
}

const ok = (body: unknown): StandInAnswer => ({ status: 200, body })

t.test('instances and operations, as Tacker shows them', async (t) => {
  const { cloud, tacker } = await scene(t, ({ path }) => {
    if (path === '/nfv/vnflcm/v2/vnf_instances') return ok([answer('v2/instance-after-scale-out')])
    if (path.startsWith('/nfv/vnflcm/v2/vnf_instances/ff48')) return ok(answer('v2/instance-after-scale-out'))
    if (path.startsWith('/nfv/vnflcm/v2/vnf_lcm_op_occs/b8e0')) return ok(answer('v2/lcmocc-scale-in'))
    return nothing
  })
  const [listed] = await tacker.vnfs(never)
  t.equal(listed?.servers.length, 3)
  t.same(await tacker.vnf('ff48c19e-00f2-47f1-a343-b72be83f40a8', never), listed)
  t.match(await tacker.operation('b8e0ec68', never), { type: 'SCALE', scale: { direction: 'in' } })
  t.equal(await tacker.vnf('../../v2/subscriptions', never), undefined)
  t.equal(cloud.seen.at(-1)?.path, '/nfv/vnflcm/v2/vnf_instances/..%2F..%2Fv2%2Fsubscriptions')
  t.ok(cloud.seen.every(({ headers }) => headers.version === '2.0.0'))
  t.equal(cloud.tokens(), 1, 'one token serves until it ends')
})

t.test('lists of version 1 are read one by one, and pages followed', async (t) => {
  const brief = (id: string) => ({ ...(answer('v2/instance-create') as object), id })
  const { cloud, tacker } = await scene(
    t,
    ({ path }) => {
      if (path === '/nfv/vnflcm/v1/vnf_instances') {
        const link = '<http://elsewhere.example/vnflcm/v1/vnf_instances?nextpage_opaque_marker=2>;rel="next"'
        return { status: 200, headers: { link }, body: [brief('one')] }
      }
      if (path.endsWith('?nextpage_opaque_marker=2')) return ok([brief('two'), brief('gone')])
      if (path.endsWith('/gone')) return nothing
      return ok(answer('v1/instance'))
    },
    { api: 'v1' },
  )
  const all = await tacker.vnfs(never)
  t.equal(all.length, 2)
  t.ok(all.every(({ servers }) => servers.length === 2))
  t.ok(cloud.seen.every(({ headers }) => headers.version === undefined))
})

t.test('subscriptions: made, found, taken away', async (t) => {
  const made = { id: 'sub-1', callbackUri: 'https://c.example/cb', _links: {} }
  const { cloud, tacker } = await scene(t, ({ method, path }) => {
    if (method === 'POST') return { status: 201, body: made }
    if (method === 'DELETE') return path.endsWith('/sub-1') ? { status: 204 } : nothing
    return ok([made])
  })
  const basic = { type: 'basic', user: 'tacker', password: new Secret('s3cret') } as const
  t.equal(await tacker.subscribe('https://c.example/cb', basic, never), 'sub-1')
  t.match(cloud.seen[0]?.body, {
    callbackUri: 'https://c.example/cb',
    verbosity: 'SHORT',
    filter: { notificationTypes: { length: 3 } },
    authentication: { authType: ['BASIC'], paramsBasic: { userName: 'tacker', password: 's3cret' } },
  })
  const endpoint = 'https://c.example/v1/lcm/token'
  await tacker.subscribe(
    'https://c.example/cb',
    { type: 'oauth2', clientId: 'site-1', clientSecret: new Secret('x'), tokenEndpoint: endpoint },
    never,
  )
  t.match(cloud.seen[1]?.body, {
    authentication: {
      authType: ['OAUTH2_CLIENT_CREDENTIALS'],
      paramsOauth2ClientCredentials: { clientId: 'site-1', clientPassword: 'x', tokenEndpoint: endpoint },
    },
  })
  t.match(await tacker.subscriptions(never), [{ id: 'sub-1', callbackUri: 'https://c.example/cb' }])
  await t.resolves(tacker.unsubscribe('sub-1', never))
  await t.resolves(tacker.unsubscribe('gone', never), 'somebody was faster')
})

t.test('the same subscription of version 1 is where Tacker says it is', async (t) => {
  const location = 'http://t.example:9890//vnflcm/v1/subscriptions/44b5'
  const { cloud, tacker } = await scene(t, () => ({ status: 303, headers: { location } }), { api: 'v1' })
  t.equal(await tacker.subscribe('https://c.example/cb', { type: 'none' }, never), '44b5')
  t.notHas(cloud.seen[0]?.body, { authentication: {} })
})

t.test('servers of Nova: their fixed addresses', async (t) => {
  const server = {
    ...{ id: 's-1', name: 'web-0', status: 'ACTIVE' },
    addresses: {
      net: [
        { addr: '10.9.0.7', version: 4, 'OS-EXT-IPS:type': 'fixed' },
        { addr: '203.0.113.9', version: 4, 'OS-EXT-IPS:type': 'floating' },
      ],
      six: [{ addr: 'FD00:0:0::7', version: 6 }],
    },
  }
  const { nova } = await scene(t, ({ path }) =>
    path === '/compute/v2.1/servers/s-1' ? ok({ server }) : { status: 404, body: { itemNotFound: {} } },
  )
  t.same(await nova.server('s-1', never), {
    ...{ id: 's-1', name: 'web-0', status: 'ACTIVE' },
    addresses: ['10.9.0.7', 'fd00::7'],
  })
  t.equal(await nova.server('gone', never), undefined)
})

t.test('a token that is refused is got anew, once; several askers share one', async (t) => {
  const { cloud, tacker } = await scene(t, () => ok([]))
  await Promise.all([tacker.vnfs(never), tacker.vnfs(never), tacker.subscriptions(never)])
  t.equal(cloud.tokens(), 1)
  cloud.revoke()
  t.same(await tacker.vnfs(never), [])
  t.equal(cloud.tokens(), 2)
})

t.test('what goes wrong says what, and shows no secret', async (t) => {
  const denied = await scene(t, () => ok([]), { access: { password: async () => new Secret('wrong horse') } })
  const refused = await denied.tacker.vnfs(never).catch((error: unknown) => error)
  t.match(refused, { code: 'LCM_REFUSED', detail: /mooring for nfv: 401 The request you have made/ })
  t.notMatch(String(refused), 'horse')

  const nowhere = await scene(t, () => ok([]), { access: { region: 'RegionTwo' } })
  await t.rejects(nowhere.tacker.vnfs(never), {
    code: 'LCM_REFUSED',
    detail: /no nfv-orchestration in .* RegionTwo/,
  })

  const odd = await scene(t, ({ path }) => {
    if (path.endsWith('/html')) return { status: 200, headers: { 'content-type': 'text/html' }, body: '<p>' }
    if (path.endsWith('/bad')) return { status: 502, body: '<h1>Bad\n gateway</h1>' }
    return ok({ id: 7 })
  })
  await t.rejects(odd.tacker.vnf('html', never), { code: 'LCM_ANSWER_INVALID', detail: /no JSON/ })
  await t.rejects(odd.tacker.vnf('bad', never), { code: 'LCM_REFUSED', detail: /502 <h1>Bad gateway/ })
  await t.rejects(odd.tacker.vnf('7', never), { code: 'LCM_ANSWER_INVALID', detail: /instance must have/ })
  await t.rejects(odd.nova.server('7', never), { code: 'LCM_ANSWER_INVALID' })

  await odd.cloud.close()
  await t.rejects(odd.tacker.vnf('7', never), { code: 'LCM_UNREACHABLE' })
  const stop = new AbortController()
  stop.abort(new Error('enough'))
  await t.rejects(odd.tacker.vnf('7', stop.signal), { message: 'enough' })
})

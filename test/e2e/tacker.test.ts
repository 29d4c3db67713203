import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createExchange } from '../../controller/lcm/exchange.ts'
import { createKeystone } from '../../controller/lcm/openstack/keystone.ts'
import { createTackerClient } from '../../controller/lcm/tacker/client.ts'
import { planSubscription } from '../../controller/lcm/tacker/subscription.ts'
import { systemClock } from '../../shared/clock.ts'
import { Secret } from '../../shared/secret.ts'
import { standInTacker, standInUser, startStandInOpenStack } from '../fakes/openstack.ts'
import { createNetwork } from '../testbed/network/network.ts'
import { createPartCache, defaultCacheRoot } from '../testbed/parts/part-cache.ts'
import { ensureTackerParts } from '../testbed/parts/tacker.ts'
import { silentProgress } from '../testbed/progress.ts'
import { startTacker } from '../testbed/tacker/tacker.ts'

t.setTimeout(15 * 60_000)

t.test('a real Tacker is asked, and is told where to call', async (t) => {
  const cache = createPartCache({ root: defaultCacheRoot(process.env), progress: silentProgress })
  const parts = await ensureTackerParts(cache, process.arch)
  const network = await createNetwork({ name: 'tacker' })
  t.teardown(() => network.close())
  const nothing = { status: 404, body: { error: { message: 'nothing is here' } } }
  const { outside, inside } = network.uplink
  const cloud = await startStandInOpenStack(() => nothing, {
    address: outside,
    tacker: `http://${inside}:9890`,
  })
  t.teardown(() => cloud.close())
  const tacker = await startTacker({ network, parts, keystone: `${cloud.url}/v3`, user: standInTacker })
  t.teardown(() => tacker.stop())

  const calls: { method: string | undefined; authorization: string | undefined; path: string | undefined }[] =
    []
  const callbacks = createServer(({ method, headers, url }, response) => {
    calls.push({ method, authorization: headers.authorization, path: url })
    response.writeHead(url?.endsWith('/deaf') ? 503 : 204).end()
  })
  await new Promise<void>((resolve) => callbacks.listen(0, outside, resolve))
  t.teardown(() => callbacks.close())
  const ours = `http://${outside}:${(callbacks.address() as AddressInfo).port}/v1/lcm/site-1/`

  const exchange = createExchange({ clock: systemClock, timeoutMs: 60_000 })
  t.teardown(() => exchange.close())
  const { user, project, password } = standInUser
  const access = { url: `${cloud.url}/v3`, user, project, password: async () => new Secret(password) }
  const keystone = createKeystone({ access, exchange, clock: systemClock })
  const signal = new AbortController().signal
  const client = createTackerClient({ keystone, api: 'v2' })
  const auth = { type: 'basic', user: 'site-1', password: new Secret('s3cret') } as const

  await t.test('what is not there', async (t) => {
    t.same(await client.vnfs(signal), [])
    t.equal(await client.vnf('00000000-0000-4000-8000-000000000000', signal), undefined)
    t.equal(await client.operation('00000000-0000-4000-8000-000000000000', signal), undefined)
    t.same(await client.subscriptions(signal), [])
  })

  await t.test('one subscription of ours, whatever was there before', async (t) => {
    const made = await client.subscribe(`${ours}first`, auth, signal)
    t.match(calls, [{ method: 'GET', path: '/v1/lcm/site-1/first' }], 'it is tried at once')
    t.equal(calls[0]?.authorization, `Basic ${Buffer.from('site-1:s3cret').toString('base64')}`)
    t.not(await client.subscribe(`${ours}first`, auth, signal), made, 'Tacker makes a second of the same')
    await client.subscribe(`http://${outside}:${new URL(ours).port}/theirs`, auth, signal)

    const plan = planSubscription(await client.subscriptions(signal), { callback: `${ours}second`, ours })
    t.match(plan, { create: true, remove: { length: 2 } })
    await client.subscribe(`${ours}second`, auth, signal)
    for (const id of plan.remove) await client.unsubscribe(id, signal)
    const left = await client.subscriptions(signal)
    t.same(left.map(({ callbackUri }) => new URL(callbackUri).pathname).toSorted(), [
      '/theirs',
      '/v1/lcm/site-1/second',
    ])
    t.match(planSubscription(left, { callback: `${ours}second`, ours }), { create: false, remove: [] })
  })

  await t.test('a callback that does not answer as it must is refused', async (t) => {
    await t.rejects(client.subscribe(`${ours}deaf`, auth, signal), { code: 'LCM_REFUSED' })
  })

  await t.test('a server that was killed is asked again when it is back', async (t) => {
    await tacker.server.kill()
    await t.rejects(client.vnfs(signal), { code: 'LCM_UNREACHABLE' })
    await tacker.server.start()
    t.equal((await client.subscriptions(signal)).length, 2)
  })
})

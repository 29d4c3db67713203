import { request } from 'node:https'
import t from 'tap'
import type { OperatorCertificate, OperatorCreated, OperatorView } from '../../../shared/api/operator.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startController, type TestController } from '../../fakes/controller.ts'

const password = 'correct horse'

// RSA keys, on a machine that may be busy.
t.setTimeout(300_000)

/** A clock that runs, and can be put forward. */
function setClock() {
  let ahead = 0
  const forward = (ms: number) => {
    ahead += ms
  }
  return { ...systemClock, now: () => Date.now() + ahead, forward }
}

async function setUp(t: { teardown(fn: () => Promise<void>): void }) {
  const clock = setClock()
  const house = await startController({ clock })
  t.teardown(() => house.close())
  const create = async (name: string, role: string, more: object = {}) =>
    (await house.call<OperatorCreated>('POST', '/v1/operators', { name, role, ...more })).json()
  const certify = async (name: string, more: object = {}) => {
    const body = { password, ...more }
    const path = `/v1/operators/${name}/certificate`
    return (await house.call<OperatorCertificate>('POST', path, body)).json()
  }
  return { house, clock, create, certify }
}

/** A request that shows a PKCS#12 file, in a connection of its own. */
function show(
  house: TestController,
  pkcs12: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request(new URL(path, house.url), {
      ...{ method, headers, agent: false, ca: house.announcement.ca },
      ...{ pfx: Buffer.from(pkcs12, 'base64'), passphrase: password },
    })
    call.on('error', reject)
    call.on('response', (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    call.end()
  })
}

t.test('an operator is known by the certificate, with the role of the token', async (t) => {
  const { house, create, certify } = await setUp(t)
  const { expiresAt } = await create('ann', 'viewer')
  const made = await certify('ann')
  t.ok(made.expiresAt <= expiresAt && made.expiresAt > expiresAt - 1_000, 'it ends with the grant')
  const who = await show(house, made.pkcs12, 'GET', '/v1/whoami')
  t.match(JSON.parse(who.body) as OperatorView, { name: 'ann', role: 'viewer', pools: ['*'] })
  t.equal((await show(house, made.pkcs12, 'GET', '/v1/vms')).status, 200)
  const beyond = await show(house, made.pkcs12, 'GET', '/v1/operators')
  t.match(beyond, { status: 403, body: /FORBIDDEN/ }, 'a viewer makes nobody an operator')
  t.match(await show(house, made.pkcs12, 'GET', '/v1/bundle'), { status: 401 }, 'and is no agent')
  const bad = { authorization: 'Bearer mro_wrong' }
  t.equal((await show(house, made.pkcs12, 'GET', '/v1/whoami', bad)).status, 401, 'a token counts first')
  const audit = (await house.call('GET', '/v1/audit')).text
  t.match(audit, 'operator.certify')
  t.notMatch(audit, password)
})

t.test('a page of another origin cannot use the certificate of a browser', async (t) => {
  const { house, create, certify } = await setUp(t)
  await create('ann', 'admin')
  const { pkcs12 } = await certify('ann')
  const from = (origin: string) => show(house, pkcs12, 'GET', '/v1/vms', { origin })
  t.equal((await from('https://elsewhere.example')).status, 401)
  t.equal((await from('null')).status, 401)
  t.equal((await from(house.url)).status, 200)
})

t.test('it is void when it ended, was revoked or replaced, or its operator is gone', async (t) => {
  const { house, clock, create, certify } = await setUp(t)
  await create('ann', 'viewer')
  const status = async (pkcs12: string) => (await show(house, pkcs12, 'GET', '/v1/whoami')).status
  const short = await certify('ann', { ttlSeconds: 60 })
  t.equal(await status(short.pkcs12), 200)
  clock.forward(61_000)
  t.equal(await status(short.pkcs12), 401, 'ended')

  const first = await certify('ann')
  const second = await certify('ann')
  t.same([await status(first.pkcs12), await status(second.pkcs12)], [401, 200], 'replaced')
  const path = '/v1/operators/ann/certificate'
  t.equal((await house.call('DELETE', path)).status, 204)
  t.equal(await status(second.pkcs12), 401, 'revoked')
  t.equal((await house.call('DELETE', path)).status, 404)

  const third = await certify('ann')
  await house.call('DELETE', '/v1/operators/ann')
  t.equal(await status(third.pkcs12), 401, 'gone')
  await create('ann', 'admin')
  t.equal(await status(third.pkcs12), 401, 'another one of that name')
  t.match(await house.call('POST', '/v1/operators/absent/certificate', { password }), { status: 404 })
  t.match(await house.call('POST', path, { password: 'short' }), { status: 400 })
})

t.test('the certificate of an agent is none of an operator', async (t) => {
  const { house } = await setUp(t)
  await house.applyPool('web')
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await agent.join()
  t.equal((await agent.call('GET', '/v1/whoami')).status, 401)
  t.equal((await agent.call('GET', '/v1/bundle')).status, 200)
})

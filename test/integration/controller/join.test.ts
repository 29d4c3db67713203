import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import t from 'tap'
import { Value } from 'typebox/value'
import { JoinResponse } from '../../../shared/api/join.ts'
import type { AuditRecord } from '../../../shared/api/operator.ts'
import { type AgentKey, type FakeAgent, makeAgentKey, send, signedJoin } from '../../fakes/agent.ts'
import { startController, type TestController } from '../../fakes/controller.ts'

async function setUp(t: { teardown(fn: () => Promise<void>): void }): Promise<TestController> {
  // Hundreds of handshakes at once take a busy machine longer than a stranger is given.
  const house = await startController({ config: { limits: { headerSeconds: 90, requestSeconds: 90 } } })
  t.teardown(() => house.close())
  await house.applyPool('web')
  return house
}

async function until(ready: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await ready())) await new Promise((resolve) => setImmediate(resolve))
}

const code = (name: string, more: object = {}) => ({ name: 'Error', code: name, ...more })

t.test('a VM joins, opens its stream, gets ready and leaves', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const joined = await agent.join()
  t.ok(Value.Check(JoinResponse, joined))
  t.match(joined.vm, /^vm-[0-9a-f]{20}$/)
  t.equal(joined.controllerCa, house.announcement.ca)
  t.equal(joined.bundle.workload.address, '10.0.0.1')
  t.same(house.mesh.endpoints(agent.vm), ['none'], 'closed until it is healthy')
  await agent.open({ health: 'healthy' })
  await until(() => house.mesh.endpoints(agent.vm)[0] === 'open')
  await until(async () => (await house.vms())[0]?.phase === 'ready')
  t.equal((await agent.bundle()).revision, joined.bundle.revision)
  agent.send({ kind: 'left' })
  await agent.next('bye')
  t.same(house.mesh.endpoints(agent.vm), [])
  t.equal((await house.vms())[0]?.phase, 'left')
})

t.test('a join repeated after a lost answer is the same VM and costs no further use', async (t) => {
  const house = await setUp(t)
  const { token, id } = await house.token('web', { uses: 1 })
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const first = await agent.join()
  const request = await agent.joinRequest()
  const [second, third] = await Promise.all([
    send<JoinResponse>(house.url, { ca: house.announcement.ca }, 'POST', '/v1/join', request),
    send<JoinResponse>(house.url, { ca: house.announcement.ca }, 'POST', '/v1/join', request),
  ])
  t.same([second.status, third.status], [200, 200])
  t.same([second.json().vm, third.json().vm], [first.vm, first.vm])
  t.equal((await house.vms()).length, 1)
  const tokens = (await house.call<{ id: string; used: number }[]>('GET', '/v1/tokens')).json()
  t.equal(tokens.find((one) => one.id === id)?.used, 1)
})

t.test('of 100 agents racing for a token with one use exactly one joins', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web', { uses: 1 })
  const agents = await Promise.all(
    Array.from({ length: 100 }, (_, i) => house.agent({ pool: 'web', token, address: `10.0.1.${i}` })),
  )
  const results = await Promise.allSettled(agents.map((agent) => agent.join()))
  t.equal(results.filter((r) => r.status === 'fulfilled').length, 1)
  for (const result of results) {
    if (result.status === 'rejected') t.equal(result.reason.code, 'TOKEN_USED_UP')
  }
  t.equal((await house.vms()).length, 1)
  t.equal([...house.mesh.objects.values()].filter((o) => o.kind === 'WorkloadEntry').length, 1)
})

t.test('of many who claim one address exactly one gets it', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web', { uses: 20 })
  const agents = await Promise.all(
    Array.from({ length: 20 }, () => house.agent({ pool: 'web', token, address: '10.0.0.1' })),
  )
  const results = await Promise.allSettled(agents.map((agent) => agent.join()))
  t.equal(results.filter((r) => r.status === 'fulfilled').length, 1)
  const refused = results.filter((r) => r.status === 'rejected')
  t.ok(refused.every((r) => r.reason.code === 'ADDRESS_TAKEN' && r.reason.retryAfter > 0))
})

t.test('300 agents join at once from one address', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web', { uses: 300 })
  const agents = await Promise.all(
    Array.from({ length: 300 }, (_, i) =>
      house.agent({ pool: 'web', token, address: `10.2.${i >> 8}.${i & 255}` }),
    ),
  )
  await Promise.all(agents.map((agent) => agent.join()))
  t.equal(new Set(agents.map((agent) => agent.vm)).size, 300)
  // On a busy machine its turn may come too late to say hello in time: an agent opens again.
  const opened = (agent: FakeAgent): Promise<unknown> =>
    agent.open({ health: 'healthy' }).catch(() => opened(agent))
  await Promise.all(agents.map(opened))
  await until(async () => (await house.vms()).every((vm) => vm.phase === 'ready'))
  for (const agent of agents) agent.cut()
})

t.test('a storm that is too large is spread over time, and all get in', async (t) => {
  const house = await startController({
    config: { limits: { joinsAtOnce: 1, joinsWaiting: 3, headerSeconds: 90, requestSeconds: 90 } },
  })
  t.teardown(() => house.close())
  await house.applyPool('web')
  const { token } = await house.token('web', { uses: 40 })
  let sentAway = 0
  await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const agent = await house.agent({ pool: 'web', token, address: `10.0.3.${i}` })
      const outcome = await untilOther(async () => {
        try {
          await agent.join()
        } catch (error) {
          sentAway += 1
          t.match(error, { code: 'UNAVAILABLE', status: 503 })
          t.ok((error as { retryAfter: number }).retryAfter > 0)
          throw error
        }
      }, 'UNAVAILABLE')
      t.equal(outcome, 'admitted')
    }),
  )
  t.ok(sentAway > 0, `${sentAway} were sent away`)
  t.equal((await house.vms()).length, 40)
})

t.test('a joiner that hung up while it had to wait is not admitted', async (t) => {
  const house = await startController({ config: { limits: { joinsAtOnce: 1 } } })
  t.teardown(() => house.close())
  await house.applyPool('web')
  const { token } = await house.token('web', { uses: 3 })
  const gone = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await gone.join()
  await gone.open({ health: 'healthy' })
  gone.send({ kind: 'left' })
  await gone.next('bye')
  const late = JSON.stringify(await gone.joinRequest())

  const held = Promise.withResolvers<void>()
  const { apply } = house.mesh
  house.mesh.apply = async (object, signal) => {
    await held.promise
    return apply(object, signal)
  }
  const first = await house.agent({ pool: 'web', token, address: '10.0.0.2' })
  const admitted = first.join()
  await until(async () => (await house.vms()).length === 2)
  const accepted = once(house.controller.server.app.server, 'secureConnection')
  const request = httpsRequest(new URL('/v1/join', house.url), {
    ...{ method: 'POST', agent: false, ca: house.announcement.ca },
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(late) },
  })
  request.on('error', () => {})
  request.end(late)
  const [socket] = (await accepted) as [Socket]
  const waiting = async () => (await house.call('GET', '/metrics')).text
  await until(async () => /^mooring_joins_waiting(\{.*\})? 1$/m.test(await waiting()))
  const closed = once(socket, 'close')
  request.destroy()
  await closed
  held.resolve()
  await admitted
  await until(async () => /^mooring_joins_waiting(\{.*\})? 0$/m.test(await waiting()))
  // Its turn comes with the next one's.
  await (await house.agent({ pool: 'web', token, address: '10.0.0.3' })).join()
  const left = (await house.vms()).find((vm) => vm.id === gone.vm)
  t.equal(left?.phase, 'left')
  t.same(house.mesh.endpoints(gone.vm), [])
})

t.test('bad evidence: each its own code, no VM, and a record', async (t) => {
  const house = await setUp(t)
  await house.applyPool('db', { serviceAccount: 'db' })
  const foreign = (await house.token('db')).token
  const spent = (await house.token('web', { uses: 1 })).token
  await (await house.agent({ pool: 'web', token: spent, address: '10.0.0.9' })).join()
  const ended = await house.token('web', { ttlSeconds: 1 })
  await until(() => Date.now() > ended.expiresAt)
  const good = (await house.token('web')).token
  const tries: readonly (readonly [string, string, string])[] = [
    ['web', 'mrj_never-made-this-one', 'TOKEN_INVALID'],
    ['web', `${good}x`, 'TOKEN_INVALID'],
    ['web', foreign, 'TOKEN_FOR_OTHER_POOL'],
    ['web', spent, 'TOKEN_USED_UP'],
    ['web', ended.token, 'TOKEN_EXPIRED'],
    ['nowhere', 'mrj_never-made-this-one', 'TOKEN_INVALID'],
    ['nowhere', good, 'TOKEN_FOR_OTHER_POOL'],
  ]
  for (const [pool, token, wanted] of tries) {
    const agent = await house.agent({ pool, token, address: '10.0.0.1' })
    await t.rejects(agent.join(), code(wanted, { status: 403 }), `${wanted} in ${pool}`)
  }
  const stranger = await house.agent({ pool: 'web', address: '10.0.0.1' })
  await t.rejects(stranger.renew(), code('REQUEST_INVALID'), 'no id at all')
  await t.rejects(stranger.join({ method: 'renew', vm: 'vm-1' }), code('KEY_UNKNOWN'))
  t.equal((await house.vms()).length, 1)
  const records = (await house.call<AuditRecord[]>('GET', '/v1/audit?limit=1000')).json()
  const denied = records.filter((r) => r.action === 'join' && r.outcome === 'denied').map((r) => r.code)
  t.same(denied, [...tries.map(([, , wanted]) => wanted), 'KEY_UNKNOWN'])
  t.notMatch(JSON.stringify(records), /mrj_/, 'no token in the audit')
})

t.test('a wrong address is refused', async (t) => {
  const house = await setUp(t)
  await house.applyPool('far', { join: { methods: ['token'], cidrs: ['192.0.2.0/24'] } })
  await house.applyPool('seen', { join: { methods: ['token'], cidrs: ['127.0.0.0/8'] }, address: {} })
  const join = async (pool: string, address?: string) => {
    const { token } = await house.token(pool)
    return (await house.agent({ pool, token, ...(address && { address }) })).join()
  }
  await t.rejects(join('far', '10.0.0.1'), code('ADDRESS_NOT_ALLOWED'), 'not from there')
  await t.rejects(join('seen'), code('ADDRESS_NOT_ALLOWED'), 'loopback is nobody')
  await t.rejects(join('web', '192.0.2.1'), code('ADDRESS_NOT_CHOSEN'), "outside the pool's rule")
  await t.rejects(join('web', '127.0.0.1'), code('ADDRESS_NOT_CHOSEN'), 'loopback claimed')
  await t.rejects(join('web'), code('ADDRESS_NOT_CHOSEN'), 'none claimed')
  t.equal((await house.vms()).length, 0)
})

t.test('a wrong proof is refused', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web', { uses: 10 })
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const post = async (body: unknown) => {
    const answer = await send<{ code: string }>(
      house.url,
      { ca: house.announcement.ca },
      'POST',
      '/v1/join',
      body,
    )
    return answer.json().code
  }
  const good = await agent.joinRequest()
  const other = await makeAgentKey()
  const swap = (key: AgentKey) => ({ ...good, csr: key.csr })
  t.equal(await post(swap(other)), 'PROOF_INVALID', "another key's request under this signature")
  t.equal(await post({ ...good, pool: 'db' }), 'PROOF_INVALID', 'another pool than signed for')
  t.equal(
    await post({ ...good, evidence: { method: 'renew', vm: 'vm-1' } }),
    'PROOF_INVALID',
    'another method than signed for',
  )
  t.equal(await post({ ...good, proof: { ...good.proof, signature: '' } }), 'PROOF_INVALID')
  const nonce = (await agent.joinRequest()).proof.nonce
  t.equal(await post({ ...good, proof: { ...good.proof, nonce } }), 'PROOF_INVALID', 'another nonce')
  t.equal(
    await post({ ...good, proof: { ...good.proof, nonce: 'A'.repeat(80) } }),
    'CHALLENGE_EXPIRED',
    'a nonce that is not ours',
  )
  t.equal(await post({ ...good, wire: 9 }), 'WIRE_VERSION_UNSUPPORTED')
  t.equal(await post({ ...good, csr: 'x' }), 'CSR_INVALID')
  t.equal(await post({ ...good, csr: 'x'.repeat(5000) }), 'REQUEST_INVALID', 'longer than a request can be')
  const { evidence, facts } = good
  const replayed = signedJoin({ key: other, pool: 'web', evidence, facts, nonce: good.proof.nonce })
  t.equal(await post(good), undefined, 'the good one joins')
  t.equal(await post(replayed), 'PROOF_INVALID', 'its nonce with another key')
  t.equal((await house.vms()).length, 1)
})

t.test('a VM that left comes back by its key; a removed one does not', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const { vm } = await agent.join()
  await agent.open({ health: 'healthy' })
  agent.send({ kind: 'left' })
  await agent.next('bye')
  await t.rejects(agent.bundle(), code('UNAUTHENTICATED'), 'who left is no member')
  await t.rejects(agent.open(), code('UNAUTHENTICATED'))
  t.equal((await agent.renew()).vm, vm)
  await agent.open({ health: 'healthy' })
  await until(() => house.mesh.endpoints(vm)[0] === 'open')
  t.equal((await house.call('DELETE', `/v1/vms/${vm}?now=true`)).status, 202)
  const bye = await agent.next('bye')
  t.ok(bye.revoked)
  await t.rejects(agent.renew(), code('KEY_REVOKED'))
  await t.rejects(agent.join(), code('KEY_REVOKED'))
  await t.rejects(agent.bundle(), code('KEY_REVOKED'))
})

t.test(
  'a VM that drains to be removed may lose its stream on the way, and is let back into it',
  async (t) => {
    const house = await setUp(t)
    const { token } = await house.token('web')
    const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
    const { vm } = await agent.join()
    await agent.open({ health: 'healthy' })
    await until(() => house.mesh.endpoints(vm)[0] === 'open')
    t.equal((await house.call('DELETE', `/v1/vms/${vm}`)).status, 202)
    await agent.next('drain')
    agent.cut()
    await agent.open({ health: 'healthy' })
    t.match(await agent.next('drain'), { reason: 'removed', after: 'leave' }, 'it is told again')
    t.same(house.mesh.endpoints(vm), ['closed'])
    await t.rejects(agent.bundle(), code('UNAVAILABLE'), 'it needs no other token')
    await t.rejects(agent.renew(), code('KEY_REVOKED'))
    agent.send({ kind: 'drained', result: 'quiet', openRequests: 0, openConnections: 0 })
    agent.send({ kind: 'left' })
    t.ok((await agent.next('bye')).revoked)
    await t.rejects(agent.open(), code('KEY_REVOKED'), 'now it is gone')
    await t.rejects(agent.bundle(), code('KEY_REVOKED'))
  },
)

t.test('another VM cannot speak for this one', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web', { uses: 3 })
  const one = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const two = await house.agent({ pool: 'web', token, address: '10.0.0.2' })
  await one.join()
  await two.join()
  t.equal((await two.bundle()).vm, two.vm, 'each gets its own bundle')
  await t.rejects(two.join({ method: 'renew', vm: one.vm }), code('KEY_UNKNOWN'))
  const unknown = await house.agent({ pool: 'web', token, key: one.key, address: '10.0.0.3' })
  await t.rejects(unknown.bundle(), code('UNAUTHENTICATED'), 'no certificate')
})

t.test(
  'a machine that renews from another address is known by its stream; a copy of it is not',
  async (t) => {
    const house = await setUp(t)
    const { token } = await house.token('web')
    await house.applyPool('web', { liveness: { heartbeatSeconds: 3, lostAfterSeconds: 60 } })
    const original = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
    await original.join()
    const { session } = await original.open({ health: 'healthy' })
    t.match(session, /^[\w-]{32}$/)
    const there = await house.agent({ pool: 'web', key: original.key, address: '10.0.0.2' })
    const renewal = { method: 'renew', vm: original.vm } as const
    await t.rejects(there.join(renewal), code('UNAVAILABLE'), 'its files alone')
    await t.rejects(there.join({ ...renewal, session: 'x'.repeat(32) }), code('UNAVAILABLE'), 'and a guess')
    t.equal((await there.join({ ...renewal, ...(session && { session }) })).vm, original.vm)
    t.notMatch((await house.call('GET', '/metrics')).text, /^mooring_clones_total [1-9]/m)
    t.ok((await original.bundle()).revision, 'it goes on')
    await until(async () => (await house.vms())[0]?.connected === true)
    original.cut()
  },
)

t.test('a second machine with the key of a live VM is found out; a reboot is not', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web')
  // Whoever is silent for two heartbeats counts as gone: on a busy machine that must not be the original.
  await house.applyPool('web', { liveness: { heartbeatSeconds: 3, lostAfterSeconds: 60 } })
  const original = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await original.join()
  await original.open({ health: 'healthy' })
  const copy = await house.agent({
    pool: 'web',
    token,
    key: original.key,
    address: '10.0.0.1',
    bootId: 'boot-2',
  })
  const again = () => copy.join({ method: 'renew', vm: original.vm })
  await t.rejects(again(), code('UNAVAILABLE', { retryAfter: 6 }), 'first it waits')
  const refused = await untilOther(again, 'UNAVAILABLE')
  t.equal(refused, 'CLONE_DETECTED')
  t.ok((await original.bundle()).revision, 'the original goes on')
  const records = (await house.call<AuditRecord[]>('GET', `/v1/audit?target=vm/${original.vm}`)).json()
  t.ok(records.some((r) => r.code === 'CLONE_DETECTED'))
  t.match((await house.call('GET', '/metrics')).text, /^mooring_clones_total [1-9]/m)

  original.hang()
  await house.applyPool('web', { liveness: { heartbeatSeconds: 0.1, lostAfterSeconds: 0.5 } })
  t.equal(await untilOther(again, 'CLONE_DETECTED', 'UNAVAILABLE'), 'admitted', 'the old one fell silent')
  original.cut()
  copy.cut()
})

t.test('a machine that comes again is itself, also while its stream is open', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await agent.join()
  await agent.open({ health: 'healthy' })
  await until(() => house.mesh.endpoints(agent.vm)[0] === 'open')
  t.equal((await agent.renew()).vm, agent.vm)
  t.same(house.mesh.endpoints(agent.vm), ['open'], 'a renewal closes nothing')
  t.same(
    house.mesh.calls.filter((c) => c.ref.name === agent.vm && c.health === 'closed'),
    [],
  )
  agent.close()
  await agent.closed
})

t.test('the address of a lost VM goes to who comes next; that of a live one does not', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web', { uses: 9 })
  const make = (address: string) => house.agent({ pool: 'web', token, address })
  const old = await make('10.0.0.1')
  await old.join()
  await old.open({ health: 'healthy' })
  const next = await make('10.0.0.1')
  await t.rejects(next.join(), code('ADDRESS_TAKEN', { status: 409 }))
  old.cut()
  await house.applyPool('web', {
    liveness: { heartbeatSeconds: 0.1, lostAfterSeconds: 0.4, graceSeconds: 600 },
  })
  await until(async () => (await house.vms()).some((vm) => vm.phase === 'lost'))
  await next.join()
  t.same(house.mesh.endpoints(old.vm), [], 'the entry of the lost one is gone')
  t.same(house.mesh.endpoints(next.vm), ['none'])
  const order = house.mesh.calls.map((c) => `${c.call} ${c.ref.name}`)
  t.ok(order.lastIndexOf(`remove ${old.vm}`) < order.indexOf(`apply ${next.vm}`), 'before the new one came')
  await t.rejects(old.renew(), code('ADDRESS_TAKEN'))
})

t.test('a controller that was started again knows its VMs and tokens', async (t) => {
  const before = await startController()
  await before.applyPool('web')
  const { token } = await before.token('web', { uses: 2 })
  const options = { pool: 'web', token }
  const agent = await before.agent({ ...options, address: '10.0.0.1' })
  const { vm } = await agent.join()
  await agent.open({ health: 'healthy' })
  const after = await before.restart()
  t.teardown(async () => {
    await after.close()
    await before.close()
  })
  t.equal(await agent.closed, 4503, 'it was told to come back')
  t.equal(after.announcement.pin, before.announcement.pin)
  t.equal(after.announcement.enrolment, undefined, 'there is an administrator')
  t.same(
    (await after.vms()).map((one) => one.id),
    [vm],
  )
  const resumed = await after.agent({ ...options, key: agent.key, address: '10.0.0.1' })
  t.equal((await resumed.join()).vm, vm)
  const second = await after.agent({ ...options, address: '10.0.0.2' })
  await second.join()
  const third = await after.agent({ ...options, address: '10.0.0.3' })
  await t.rejects(third.join(), code('TOKEN_USED_UP'), 'uses are remembered')
})

/** Tries until the outcome is another than those; `admitted` or the code of the refusal. */
async function untilOther(attempt: () => Promise<unknown>, ...codes: string[]): Promise<string> {
  for (;;) {
    const outcome = await attempt().then(
      () => 'admitted',
      (error: { code: string }) => error.code,
    )
    if (!codes.includes(outcome)) return outcome
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

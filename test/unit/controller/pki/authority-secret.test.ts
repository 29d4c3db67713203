import { X509Certificate } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Client } from '../../../../controller/kubernetes/client.ts'
import { createAuthority } from '../../../../controller/pki/authority.ts'
import {
  type AuthoritySecret,
  authoritySecretName,
  authoritySecretType,
  createAuthoritySecret,
} from '../../../../controller/pki/authority-secret.ts'
import { finishRotation, rotateAuthority } from '../../../../controller/pki/rotation.ts'
import { systemClock as clock } from '../../../../shared/clock.ts'
import { silentLog as log } from '../../../../shared/log.ts'
import { startApiServer } from '../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { clientOf } from '../../../fakes/kubernetes-store.ts'
import { waitFor } from '../../../world/waiting.ts'

const namespace = 'mooring-system'
const random = Math.random
const at = { namespace, name: authoritySecretName('mooring') }

async function setUp(t: Test) {
  const server = await startApiServer(await createTestAuthority())
  t.teardown(() => server.close())
  const replica = () => {
    const client = clientOf(t, server.kubeconfig)
    const keep = createAuthoritySecret({ client, namespace, release: 'mooring', clock, log, random })
    return { client, keep, deps: { keep, clock, log, random } }
  }
  return { server, replica }
}

/** Follows until the test ends; answers how often it was told of a change. */
function follow(t: Test, authority: Awaited<ReturnType<typeof createAuthority>>) {
  const stop = new AbortController()
  const told = { changes: 0 }
  const done = authority.follow(() => {
    told.changes += 1
  }, stop.signal)
  t.teardown(async () => {
    stop.abort()
    await done
  })
  return told
}

async function data(client: Client): Promise<Readonly<Record<string, string>>> {
  return (await client.get<AuthoritySecret>(authoritySecretType, at))?.data ?? {}
}

t.test('replicas that start at the same moment have one authority', async (t) => {
  const { server, replica } = await setUp(t)
  const all = await Promise.all([replica(), replica(), replica()].map(({ deps }) => createAuthority(deps)))
  t.equal(new Set(all.map(({ pin }) => pin)).size, 1)
  const [{ trusted = '' } = {}] = all
  const { client } = replica()
  const kept = await data(client)
  t.equal(Buffer.from(kept['ca.crt'] ?? '', 'base64').toString(), trusted, 'for people and programs')
  t.same(Object.keys(kept).toSorted(), ['authority.pem', 'ca.crt'])
  t.equal(server.requests.filter((one) => one.startsWith('PUT')).length, 0, 'nobody wrote over another')
})

t.test('a rotation by one reaches all, and so does its end', async (t) => {
  const { replica } = await setUp(t)
  const [one, two] = [replica(), replica()]
  const [a, b] = [await createAuthority(one.deps), await createAuthority(two.deps)]
  const old = b.pin
  const told = follow(t, b)
  const { pin } = await rotateAuthority(one.deps)
  await waitFor(() => b.pin === pin, { what: 'the new authority' })
  t.equal(b.pinBefore, old)
  t.same([a.pin, a.pinBefore], [old, undefined], 'one that has not heard of it goes on')
  t.equal(told.changes, 1)
  const spki = Buffer.from(
    await crypto.subtle.exportKey(
      'spki',
      (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign'])).publicKey,
    ),
  )
  const chain = await b.signAgent({
    vm: 'vm-1',
    uri: 'spiffe://a/mooring/vm/vm-1',
    spki,
    notAfter: clock.now() + 60_000,
  })
  const [leaf, successor] = chain
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter(Boolean)
    .map((pem) => new X509Certificate(pem))
  t.ok(successor && leaf?.checkIssued(successor), 'signed by the new one')
  t.ok(
    successor?.verify(new X509Certificate(a.trusted).publicKey),
    'and accepted by who knows the old one alone',
  )
  await t.rejects(rotateAuthority(two.deps), { code: 'CONFLICT' })
  await finishRotation(two.deps, [])
  await waitFor(() => b.pinBefore === undefined, { what: 'its end' })
  t.equal(b.pin, pin)
  t.equal(told.changes, 2)
})

t.test('of two who rotate at once, one is told that it was too late', async (t) => {
  const { replica } = await setUp(t)
  const [one, two] = [replica(), replica()]
  await createAuthority(one.deps)
  const done = await Promise.allSettled([rotateAuthority(one.deps), rotateAuthority(two.deps)])
  const refused = done.filter((each) => each.status === 'rejected')
  t.equal(refused.length, 1)
  t.match(refused[0]?.reason, { code: 'CONFLICT' })
})

t.test('what cannot be read is refused at a start, and passed over while it runs', async (t) => {
  const { replica } = await setUp(t)
  const { client, deps } = replica()
  const authority = await createAuthority(deps)
  const { pin } = authority
  const told = follow(t, authority)
  const secret = await client.get<AuthoritySecret>(authoritySecretType, at)
  if (secret === undefined) return t.fail('no Secret')
  const broken = { ...secret, data: { 'authority.pem': Buffer.from('half').toString('base64') } }
  const written = await client.replace(authoritySecretType, broken)
  await t.rejects(createAuthority(replica().deps), { code: 'STORE_UNREADABLE' })
  const { resourceVersion } = written.metadata
  await client.replace(authoritySecretType, {
    ...secret,
    metadata: { ...secret.metadata, ...(resourceVersion && { resourceVersion }) },
  })
  const { pin: next } = await rotateAuthority(replica().deps)
  await waitFor(() => authority.pin === next, { what: 'what comes after it' })
  t.equal(authority.pinBefore, pin, 'the one it knew went on meanwhile')
  t.equal(told.changes, 1)
})

t.test('an API server that is away is waited for, until told to stop', async (t) => {
  const { server, replica } = await setUp(t)
  server.faults.refuse = () => 503
  const { deps } = replica()
  const made = createAuthority({ ...deps, signal: new AbortController().signal })
  await waitFor(() => server.requests.length > 1, { what: 'more than one try' })
  server.faults.refuse = () => undefined
  t.match((await made).pin, /^sha256:/)
  server.faults.refuse = () => 503
  const stop = new AbortController()
  const given = createAuthority({ ...replica().deps, signal: stop.signal })
  stop.abort(new Error('enough'))
  await t.rejects(given)
})

t.test('an authority that is deleted is put back, as it was', async (t) => {
  const { replica } = await setUp(t)
  const { client, deps } = replica()
  const authority = await createAuthority(deps)
  const before = await data(client)
  const told = follow(t, authority)
  await client.remove(authoritySecretType, at)
  await waitFor(async () => (await data(client))['authority.pem'] !== undefined, { what: 'the Secret' })
  t.same(await data(client), before)
  t.equal(told.changes, 0, 'nothing has changed for those who use it')
})

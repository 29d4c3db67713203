import t, { type Test } from 'tap'
import { type AuditEntry, createAudit } from '../../../../controller/audit.ts'
import type { ResourceType } from '../../../../controller/kubernetes/resource.ts'
import { createAuditPages } from '../../../../controller/store/audit-pages.ts'
import type { Clock } from '../../../../shared/clock.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog as log } from '../../../../shared/log.ts'
import { startApiServer } from '../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { clientOf } from '../../../fakes/kubernetes-store.ts'
import { waitFor } from '../../../world/waiting.ts'

const namespace = 'mooring-system'
const secrets: ResourceType = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' }
const entry = (target: string): AuditEntry => ({
  actor: 'operator:ada',
  action: 'vm.drain',
  target,
  outcome: 'done',
})

async function setUp(t: Test) {
  const server = await startApiServer(await createTestAuthority())
  t.teardown(() => server.close())
  const clock = createFakeClock()
  const client = clientOf(t, server.kubeconfig)
  const replica = (
    options: { mostRecords?: number; line?: (text: string) => Promise<void>; at?: Clock } = {},
  ) => {
    const lines: string[] = []
    const { line = async (text: string) => void lines.push(text), at = clock, ...more } = options
    const deps = { client, namespace, release: 'mooring', line, log, random: Math.random }
    const sink = createAuditPages({ ...deps, clock: at, ...more })
    return { sink, lines, audit: createAudit({ sink, clock: at }) }
  }
  const stored = async () =>
    (await client.list(secrets, { namespace, labels: 'mesh.mooring/audit=mooring' })).items
  return { server, clock, client, replica, stored }
}

/** As a replica that ends: what waits is written. */
function ended(sink: { run(signal: AbortSignal): Promise<void> }): Promise<void> {
  return sink.run(AbortSignal.abort())
}

t.test('a record is a line at once, and is found at every replica', async (t) => {
  const { clock, replica, stored } = await setUp(t)
  const [one, two] = [replica(), replica()]
  await one.audit.record(entry('vm/a'))
  t.match(JSON.parse(one.lines[0] ?? ''), { audit: { target: 'vm/a', time: clock.now() } })
  t.same(
    (await one.audit.query({})).map(({ target }) => target),
    ['vm/a'],
    'before it is in the cluster',
  )
  t.same(await two.audit.query({}), [])
  await ended(one.sink)
  await clock.advance(10)
  await two.audit.record(entry('vm/b'))
  await ended(two.sink)
  for (const { audit } of [one, two]) {
    const records = await audit.query({})
    t.same(
      records.map(({ target }) => target),
      ['vm/a', 'vm/b'],
      'once each, in the order of time',
    )
  }
  t.equal((await stored()).length, 2, 'nobody writes the page of another')
  t.same(
    (await one.audit.query({ target: 'vm/b', limit: 1 })).map(({ actor }) => actor),
    ['operator:ada'],
  )
})

t.test('many records share a write, and a page is filled before the next', async (t) => {
  const { server, replica, stored } = await setUp(t)
  const { audit, sink } = replica()
  await Promise.all(Array.from({ length: 1200 }, (_, index) => audit.record(entry(`vm/${index}`))))
  await ended(sink)
  t.equal((await stored()).length, 3)
  const writes = server.requests.filter((one) => /^(POST|PUT)/.test(one)).length
  t.equal(writes, 3)
  t.equal((await audit.query({ limit: 1000 })).length, 1000)
  t.equal((await audit.query({ limit: 1 }))[0]?.target, 'vm/1199')
})

t.test('who reads on after a number misses nothing of a replica that was slower', async (t) => {
  const { clock, replica } = await setUp(t)
  const [one, two] = [replica(), replica()]
  await two.audit.record(entry('vm/slow'))
  await clock.advance(500)
  await one.audit.record(entry('vm/fast'))
  await ended(one.sink)
  t.same(await one.audit.query({ after: 0 }), [], 'not settled yet')
  await ended(two.sink)
  await clock.advance(5_000)
  const all = await one.audit.query({ after: 0 })
  t.same(
    all.map(({ target }) => target),
    ['vm/slow', 'vm/fast'],
  )
  t.same(
    (await one.audit.query({ after: all[0]?.seq ?? 0 })).map(({ target }) => target),
    ['vm/fast'],
  )
})

t.test('records of two replicas with one number come together', async (t) => {
  const { clock, replica } = await setUp(t)
  const [one, two] = [replica(), replica()]
  await one.audit.record({ ...entry('vm/a'), actor: 'vm:a' })
  await two.audit.record({ ...entry('vm/b'), actor: 'vm:b' })
  await Promise.all([ended(one.sink), ended(two.sink)])
  await clock.advance(5_000)
  t.equal((await one.audit.query({ after: 0, limit: 1 })).length, 2)
})

t.test('the oldest pages go when there are too many records', async (t) => {
  const { clock, replica, stored } = await setUp(t)
  const { audit, sink } = replica({ mostRecords: 1000 })
  for (let round = 0; round < 4; round += 1) {
    await Promise.all(Array.from({ length: 500 }, (_, index) => audit.record(entry(`vm/${round}-${index}`))))
    await ended(sink)
    await clock.advance(1_000)
  }
  t.equal((await stored()).length, 2)
  t.equal((await audit.query({ limit: 1000 }))[0]?.target, 'vm/2-0')
})

t.test('while the API server is away records wait, and their lines are written', async (t) => {
  const { server, clock, replica } = await setUp(t)
  const { audit, sink, lines } = replica()
  const stop = new AbortController()
  const running = sink.run(stop.signal)
  server.faults.refuse = (method) => (method === 'POST' ? 503 : undefined)
  await audit.record(entry('vm/a'))
  t.equal(lines.length, 1)
  await waitFor(
    async () => {
      await clock.advance(1_000)
      return server.requests.filter((one) => one.startsWith('POST')).length > 1
    },
    { what: 'more than one try' },
  )
  server.faults.refuse = () => undefined
  await waitFor(
    async () => {
      await clock.advance(60_000)
      return (await replica().audit.query({})).length === 1
    },
    { what: 'the record at another replica' },
  )
  stop.abort()
  await running
})

t.test('a record whose line cannot be written is an error for its writer', async (t) => {
  const { replica } = await setUp(t)
  const { audit, sink, lines } = replica({
    line: () => Promise.reject(new MooringError('STORE_UNAVAILABLE', { detail: 'standard output' })),
  })
  await t.rejects(audit.record(entry('vm/a')), { code: 'STORE_UNAVAILABLE' })
  await ended(sink)
  t.same([await audit.query({}), lines], [[], []])
})

t.test('a page that somebody changed or damaged stops nothing', async (t) => {
  const { client, replica, stored } = await setUp(t)
  const { audit, sink } = replica()
  await audit.record(entry('vm/a'))
  await ended(sink)
  const [page] = await stored()
  if (page === undefined) return t.fail('no page')
  await client.replace(secrets, {
    ...page,
    data: { records: Buffer.from('x').toString('base64') },
  } as typeof page)
  await audit.record(entry('vm/b'))
  await ended(sink)
  await ended(sink)
  t.same(
    (await audit.query({})).map(({ target }) => target),
    ['vm/b'],
  )
})

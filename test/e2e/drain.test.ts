import t from 'tap'
import { call } from '../world/call.ts'
import { failuresOf } from '../world/load.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo } from '../world/world.ts'

t.test('drain with long requests and TCP connections, and a change of the mesh in the middle', async (t) => {
  // Longer than any request of the load, so that nothing has to be cut.
  const world = await createWorld({ name: 'drain', servers: { drain: { deadlineSeconds: 60 } } })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('a', 'servers')
  const b = await world.boot('b', 'servers')

  const load = world.load(caller, {
    options: { 'download-seconds': 3, 'grpc-ms': 6000, 'tcp-reopen-ms': 8000 },
  })
  await load.firstOk
  await waitFor(() => load.progress().requests > 150, { what: 'load' })
  // One each, begun before the drain and ended long after it.
  const downloads = world.load(caller, {
    ports: { download: echo.http },
    options: { 'download-seconds': 30, 'download-workers': 4 },
  })
  await waitFor(() => (downloads.progress().instances.b?.answers ?? 0) > 0, { what: 'a download from b' })

  const { id } = await b.view()
  await world.operator.drain(id)
  const downloaded = downloads.stop()
  await b.waitPhase('draining')
  // Makes istiod push to everybody while connections of the draining VM are open.
  await world.operator.applyPool('unrelated', {
    namespace: 'default',
    serviceAccount: 'unrelated',
    service: {
      host: 'unrelated.mooring.internal',
      ports: [{ name: 'http', number: 9090, protocol: 'HTTP' }],
    },
    join: { methods: ['token'], cidrs: [] },
  })
  const view = await b.waitPhase('left', 90_000)
  const before = load.progress().requests
  await waitFor(() => load.progress().requests > before + 100, { what: 'load after the leave' })
  const summary = await load.stop()

  t.equal(summary.failed, 0, failuresOf(summary))
  t.ok((summary.instances.b?.answers ?? 0) > 0, 'it had served')
  const whole = await downloaded
  t.equal(whole.requests, 4)
  t.equal(whole.failed, 0, failuresOf(whole))
  t.comment(sceneLine('drain-download-of-30-s', whole))
  const drained = view.conditions.find((c) => c.type === 'Drained')
  t.equal(drained?.status, 'True', 'its drain is on record')
  t.comment(sceneLine('drain-long-requests', summary))

  await t.test('the agent stays, without sidecar and rules, and says that it left', async (t) => {
    t.same(await b.sidecar(), {})
    const rules = await b.vm.exec('iptables-save', ['-t', 'nat'])
    t.notMatch(rules.stdout, 'ISTIO', 'the capture is undone')
    const status = await b.agent('status', '--json')
    t.equal(status.code, 0, status.stderr)
    t.match(status.stdout, /left/)
  })
})

t.test('the last endpoint leaves, before its requests have ended: both is said and counted', async (t) => {
  const world = await createWorld({ name: 'last' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const only = await world.boot('only', 'servers')
  await waitFor(async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status === 200, {
    what: 'a first answer',
  })
  const { id } = await only.view()
  const load = world.load(caller, {
    ports: { download: echo.http },
    options: { 'download-seconds': 30, 'download-workers': 2 },
  })
  await waitFor(() => (load.progress().instances.only?.answers ?? 0) === 2, { what: 'two downloads' })
  await world.operator.drain(id, { deadlineSeconds: 3 })
  const downloads = load.stop()
  const view = await only.waitPhase('left')

  await t.test('the deadline cuts what is open', async (t) => {
    const { byProtocol, requests, failed } = await downloads
    t.equal(requests, 2)
    t.equal(failed, 2)
    t.ok(
      byProtocol.download?.errors.every(({ code }) => /^(TRUNCATED|ECONNRESET)$/.test(code)),
      `the caller is told, and not left waiting: ${failuresOf(await downloads)}`,
    )
    const drained = view.conditions.find(({ type }) => type === 'Drained')
    t.equal(drained?.reason, 'DRAIN_DEADLINE')
    t.match(drained?.message, /2 requests/)
    t.match(await world.operator.metrics(), /^mooring_\w*drain\w*\{[^}]*deadline[^}]*\} 1$/m)
  })

  const said = [
    ...view.conditions.map((c) => c.message),
    ...(await world.operator.audit()).map((record) => record.detail ?? ''),
  ]
  t.ok(
    said.some((text) => /last endpoint/i.test(text)),
    `nobody says that it was the last: ${said.join(' | ')}`,
  )
  const answer = await waitFor(
    async () => {
      const result = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
      return result.status !== 200 && result
    },
    { what: 'the refusal' },
  )
  t.equal(answer.status, 503, 'the caller is told by its own sidecar, not by a broken connection')
})

t.test('a hold drains and keeps the sidecar until the VM is told to leave', async (t) => {
  const world = await createWorld({ name: 'hold' })
  t.teardown(() => world.close())
  await world.boot('a', 'servers')
  const b = await world.boot('b', 'servers')
  const { id } = await b.view()
  await world.operator.drain(id, { after: 'hold' })
  await waitFor(
    async () => (await b.view()).conditions.some((c) => c.type === 'Drained' && c.status === 'True'),
    { what: 'the drain to end' },
  )
  t.equal((await b.view()).phase, 'draining')
  t.ok((await b.sidecar()).envoy, 'its sidecar still runs, for calls of its own')
  const left = await b.agent('leave')
  t.equal(left.code, 0, left.stderr)
  t.equal((await b.waitPhase('left')).phase, 'left')
})

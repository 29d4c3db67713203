import t from 'tap'
import type { Client } from '../../../../../controller/kubernetes/client.ts'
import { createObjectCache } from '../../../../../controller/mesh/kubernetes/object-cache.ts'
import { ownedLabels } from '../../../../../controller/mesh/kubernetes/ownership.ts'
import { createWriter } from '../../../../../controller/mesh/kubernetes/writer.ts'
import { refOf, sameObject, workloadEntry } from '../../../../../controller/mesh/objects.ts'
import { MooringError } from '../../../../../shared/errors.ts'
import { poolOf, vmOf, webSpec } from '../sample.ts'
import { createFakeClock } from '../standalone/fake-clock.ts'

const entry = (health: 'open' | 'closed' | 'none', address = '10.0.0.11') =>
  workloadEntry({ vm: 'vm-1', record: vmOf({ address }), poolName: 'web', pool: poolOf(webSpec), health })
const owner = 'here'
const { signal } = new AbortController()

interface Call {
  readonly verb: string
  readonly subresource?: string
  readonly force?: boolean
  readonly body?: { metadata: { uid?: string }; spec?: unknown; status?: unknown }
}

/** An API server of one object, of which every answer is given beforehand; the real one is in the scenes. */
function open(answers: readonly unknown[]) {
  const calls: Call[] = []
  const left = [...answers]
  const next = (call: Call) => {
    calls.push(call)
    const answer = left.shift()
    if (answer instanceof MooringError) throw answer
    return answer
  }
  const client = {
    get: async () => next({ verb: 'get' }),
    apply: async (_type: unknown, body: Call['body'], { force, subresource }: Call) =>
      next({
        verb: 'apply',
        ...(body && { body }),
        ...(subresource && { subresource }),
        force: force === true,
      }),
    merge: async (_type: unknown, _at: unknown, body: Call['body']) =>
      next({ verb: 'merge', ...(body && { body }) }),
    remove: async () => next({ verb: 'remove' }),
  } as unknown as Client
  const cache = createObjectCache({ same: sameObject, changed: () => {} })
  const clock = createFakeClock()
  return { calls, cache, writer: createWriter({ client, cache, owner, clock }) }
}

let versions = 100
function stored(object = entry('none'), more: object = {}) {
  const fields = Object.fromEntries(Object.keys(object.metadata.labels ?? {}).map((key) => [`f:${key}`, {}]))
  const annotations = Object.fromEntries(
    Object.keys(object.metadata.annotations ?? {}).map((key) => [`f:${key}`, {}]),
  )
  versions += 1
  return {
    metadata: {
      ...object.metadata,
      labels: ownedLabels(object, owner),
      uid: 'u1',
      resourceVersion: String(versions),
      generation: 1,
      managedFields: [
        {
          manager: 'mooring',
          operation: 'Apply',
          fieldsV1: { 'f:metadata': { 'f:labels': fields, 'f:annotations': annotations } },
        },
      ],
      ...more,
    },
    spec: object.spec,
    ...(object.status && {
      status: {
        conditions: (object.status.conditions as object[]).map((one) => ({ ...one, observedGeneration: 1 })),
      },
    }),
  }
}

t.test('one that is not there is made without force, and opened after', async (t) => {
  const { calls, writer } = open([undefined, stored(), stored(entry('open'))])
  await writer.apply(entry('open'), signal)
  t.match(calls, [
    { verb: 'get' },
    { verb: 'apply', force: false, body: { metadata: { uid: undefined } } },
    { verb: 'apply', force: true, subresource: 'status', body: { metadata: { uid: 'u1' } } },
  ])
  t.notOk(calls[1]?.body?.status, 'no status with the spec')
})

t.test('what is known is not read again; closed before, opened after a change', async (t) => {
  const moved = stored(entry('closed', '10.0.0.12'), { generation: 2 })
  const { calls, writer } = open([
    stored(entry('open')),
    stored(entry('closed')),
    moved,
    stored(entry('closed', '10.0.0.12'), { generation: 1 }),
  ])
  await writer.apply(entry('open'), signal)
  t.equal(calls.length, 1, 'the same is no write')
  await writer.apply(entry('closed', '10.0.0.12'), signal)
  t.same(
    calls.slice(1).map(({ subresource = 'main' }) => subresource),
    ['status', 'main', 'status'],
    'and the condition is said of the new spec',
  )
  t.ok(calls.slice(1).every(({ force, body }) => force === true && body?.metadata.uid === 'u1'))
})

t.test('what was made by somebody else in the same moment is given back', async (t) => {
  const theirs = stored(entry('none'), { managedFields: [{ manager: 'mooring' }, { manager: 'kubectl' }] })
  const { calls, writer } = open([undefined, theirs, theirs])
  await t.rejects(writer.apply(entry('none'), signal), { code: 'MESH_OBJECT_FOREIGN' })
  t.same(calls[2]?.body?.spec, undefined)
  t.equal(calls[2]?.force, false)
})

t.test('a conflict is looked at anew, but not for ever', async (t) => {
  const conflict = new MooringError('CONFLICT')
  const { calls, writer } = open([stored(), conflict, stored(entry('open'))])
  await writer.apply(entry('open'), signal)
  t.same(
    calls.map(({ verb }) => verb),
    ['get', 'apply', 'get'],
  )
  const endless = open(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? stored() : conflict)))
  await t.rejects(endless.writer.apply(entry('open'), signal), { code: 'MESH_UNAVAILABLE' })
  t.equal(endless.calls.length, 8)
})

t.test('after a failure nothing is believed: the next apply reads first', async (t) => {
  const gone = new MooringError('MESH_UNAVAILABLE')
  const { calls, writer } = open([
    stored(entry('open')),
    gone,
    stored(entry('closed')),
    stored(entry('open')),
  ])
  await t.rejects(writer.apply(entry('closed'), signal), { code: 'MESH_UNAVAILABLE' })
  await writer.apply(entry('open'), signal)
  t.same(
    calls.map(({ verb }) => verb),
    ['get', 'apply', 'get', 'apply'],
    'it was closed after all, and is opened',
  )
})

t.test('what others left in the spec is taken out', async (t) => {
  const crowded = {
    ...stored(entry('none', '10.0.0.12')),
    spec: { ...entry('none', '10.0.0.12').spec, weight: 5 },
  }
  const { calls, writer } = open([stored(), crowded, stored(entry('none', '10.0.0.12'))])
  await writer.apply(entry('none', '10.0.0.12'), signal)
  t.match(calls[2], { verb: 'merge', body: { spec: { weight: null }, metadata: { resourceVersion: /\d/ } } })
})

t.test('nothing is removed but what is ours', async (t) => {
  const missing = open([undefined])
  await missing.writer.remove(refOf(entry('none')), signal)
  t.equal(missing.calls.length, 1)
  const theirs = open([stored(entry('none'), { labels: {} })])
  await theirs.writer.remove(refOf(entry('none')), signal)
  t.equal(theirs.calls.length, 1)
  const ours = open([stored(), true])
  await ours.writer.remove(refOf(entry('none')), signal)
  t.match(ours.calls, [{ verb: 'get' }, { verb: 'remove' }])
})

t.test('a namespace that is not there is named', async (t) => {
  const { writer } = open([
    undefined,
    new MooringError('NOT_FOUND'),
    undefined,
    new MooringError('NOT_FOUND'),
  ])
  await t.rejects(writer.apply(entry('none'), signal), {
    code: 'MESH_NAMESPACE_MISSING',
    detail: /shop\/vm-1/,
  })
})

t.test('in a namespace that is being deleted an endpoint that is not there is closed', async (t) => {
  const ending = new MooringError('KUBERNETES_REFUSED', {
    detail: 'unable to create new content in namespace shop because it is being terminated',
  })
  await t.resolves(open([undefined, ending]).writer.apply(entry('closed'), signal))
  await t.rejects(open([undefined, ending]).writer.apply(entry('open'), signal), {
    code: 'KUBERNETES_REFUSED',
  })
})

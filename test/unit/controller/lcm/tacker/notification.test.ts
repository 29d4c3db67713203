import t from 'tap'
import { parseNotification, timeOf } from '../../../../../controller/lcm/tacker/notification.ts'
import { parseOperation } from '../../../../../controller/lcm/tacker/operation.ts'
import { answer, notifications } from './captures.ts'

const posts = notifications.filter(({ method }) => method === 'POST')

t.test('every notification that Tacker sent is read, in both dialects', async (t) => {
  t.equal(posts.length, 41)
  for (const { name, body } of posts) {
    const hint = parseNotification(body)
    t.match(hint, { id: /^[-0-9a-f]{36}$/, instance: /^[-0-9a-f]{36}$/, at: Number }, name)
    const [, about = '', operation, state] = /Vnf(\w+?)Notification(?:-(.*)-(\w+))?\.json$/.exec(name) ?? []
    t.equal(
      hint.about,
      about.replace('Identifier', '').replace('LcmOperationOccurrence', 'operation').toLowerCase(),
    )
    t.equal(hint.operation, operation)
    t.equal(hint.state, state)
    t.equal(hint.occurrence === undefined, hint.about !== 'operation')
    t.equal(new Date(hint.at ?? 0).toISOString().slice(0, 10), '2026-11-21')
  }
})

t.test('an operation that it speaks of is the one that Tacker shows', async (t) => {
  const started = posts.find(({ name }) => name.startsWith('v2-008-'))
  const { occurrence, instance } = parseNotification(started?.body)
  t.match(parseOperation(answer('v2/lcmocc-scale-in')), { id: occurrence, instance })
})

t.test('what is none is refused with the field, and nothing of it is believed', async (t) => {
  const good = posts.find(({ name }) => name.startsWith('v2-002-'))?.body as Record<string, unknown>
  const { vnfLcmOpOccId: _, ...withoutOccurrence } = good
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /body/],
    [[], /body/],
    ['{}', /body/],
    [{}, /id/],
    [{ ...good, id: '' }, /\/id/],
    [{ ...good, id: 'x'.repeat(256) }, /\/id/],
    [{ ...good, vnfInstanceId: '../../admin' }, /\/vnfInstanceId/],
    [{ ...good, vnfInstanceId: { $ne: 1 } }, /\/vnfInstanceId/],
    [{ ...good, vnfLcmOpOccId: 'a b' }, /\/vnfLcmOpOccId/],
    [{ ...good, notificationType: 'AlarmNotification' }, /\/notificationType/],
    [withoutOccurrence, /\/vnfLcmOpOccId/],
  ]
  for (const [body, message] of bad)
    t.throws(() => parseNotification(body), { code: 'REQUEST_INVALID', message })
  t.same(
    Object.keys(parseNotification({ ...good, affectedVnfcs: [{ id: 'x' }], isAdmin: true })).toSorted(),
    ['about', 'at', 'id', 'instance', 'occurrence', 'operation', 'state', 'subscription'],
  )
})

t.test('times with a zone, and without', async (t) => {
  const at = Date.UTC(2026, 10, 21, 9, 18, 22)
  t.equal(timeOf('2026-11-21T09:18:22Z'), at)
  t.equal(timeOf('2026-11-21T09:18:22'), at)
  t.equal(timeOf('2026-11-21T09:18:22.179832'), at + 179)
  t.equal(timeOf('2026-11-21 09:18:22+00:00'), at)
  t.equal(timeOf('2026-11-21T18:18:22+09:00'), at)
  for (const text of [undefined, '', 'yesterday', '2026-13-41T09:18:22Z']) t.equal(timeOf(text), undefined)
})

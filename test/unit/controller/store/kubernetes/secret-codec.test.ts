import t from 'tap'
import {
  readSecret,
  secretBody,
  secretLabels,
  secretName,
} from '../../../../../controller/store/kubernetes/secret-codec.ts'

/** As the API server would give it back. */
const wire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

t.test('Secrets hold records, and what is none is refused without repeating it', async (t) => {
  const value = { hash: 'ab'.repeat(32), createdAt: 1, expiresAt: 2 }
  const labels = secretLabels('enrolment', value)
  const object = {
    metadata: { name: secretName('enrolment', 'first'), labels },
    ...secretBody('enrolment', value),
  }
  t.same(readSecret(wire(object)), { kind: 'enrolment', name: 'first', value })
  const other = Buffer.from('{"password":"hunter2"}').toString('base64')
  for (const record of [other, Buffer.from('hunter2').toString('base64'), '']) {
    t.throws(() => readSecret({ ...object, data: { record } }), {
      code: 'STORE_UNREADABLE',
      detail: /^((?!hunter).)*$/,
    })
  }
  t.throws(() => readSecret({ ...object, metadata: { ...object.metadata, name: 'other' } }), {
    code: 'STORE_UNREADABLE',
  })
})

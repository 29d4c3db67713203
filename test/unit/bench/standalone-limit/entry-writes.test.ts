import t from 'tap'
import { fileText } from '../../../../controller/mesh/standalone/object-file.ts'
import { isClosed } from '../../../bench/standalone-limit/entry-writes.ts'

const entry = (name: string, status: string) => ({
  revision: '0-0',
  object: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry' as const,
    metadata: { name, namespace: 'default' },
    spec: {},
    status: { conditions: [{ type: 'Healthy', status }] },
  },
})

t.test('one entry of many in a file is closed or not', async (t) => {
  const text = fileText([entry('vm-1', 'True'), entry('vm-2', 'False')])
  t.equal(isClosed(text, 'vm-1'), false)
  t.equal(isClosed(text, 'vm-2'), true)
  t.equal(isClosed(text, 'vm-3'), false)
  t.equal(isClosed(text.slice(0, -5), 'vm-2'), false, 'half a file says nothing')
})

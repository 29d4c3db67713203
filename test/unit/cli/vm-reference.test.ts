import fc from 'fast-check'
import t from 'tap'
import { pickVm, vmPath } from '../../../cli/vm-reference.ts'

const all = ['vm-aa1', 'vm-aa2', 'vm-b', 'vm-bb'].map((id) => ({ id }))

t.test('an id, or the beginning of one alone, names a VM', async (t) => {
  t.equal(pickVm(all, 'vm-aa1').id, 'vm-aa1')
  t.equal(pickVm(all, 'vm-bb').id, 'vm-bb')
  t.equal(pickVm(all, 'vm-b').id, 'vm-b', 'the whole id wins over a longer one')
})

t.test('none, and more than one, are refused with what there is', async (t) => {
  t.throws(() => pickVm(all, 'vm-c'), { code: 'NOT_FOUND', detail: /no VM's id begins with "vm-c"/ })
  t.throws(() => pickVm(all, 'vm-a'), { code: 'NOT_FOUND', detail: /vm-aa1, vm-aa2; write more/ })
  const many = Array.from({ length: 9 }, (_, i) => ({ id: `vm-${i}` }))
  t.throws(() => pickVm(many, 'vm-'), { code: 'NOT_FOUND', detail: /and 4 more/ })
  t.throws(() => pickVm([{ id: 'vm-1' }], ''), { code: 'NOT_FOUND' })
})

t.test('whoever is picked begins with what was written', async (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.stringMatching(/^vm-[0-9a-f]{2}$/), { maxLength: 20 }),
      fc.stringMatching(/^vm-[0-9a-f]{0,2}$/),
      (ids, text) => {
        const fitting = ids.filter((id) => id.startsWith(text))
        try {
          return (
            pickVm(
              ids.map((id) => ({ id })),
              text,
            ).id === fitting[0] && fitting.length === 1
          )
        } catch {
          return fitting.length !== 1
        }
      },
    ),
  )
  t.equal(vmPath('a/../b', '/drain'), '/v1/vms/a%2F..%2Fb/drain')
})

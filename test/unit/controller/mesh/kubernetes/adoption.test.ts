import t from 'tap'
import { createAdoption } from '../../../../../controller/mesh/kubernetes/adoption.ts'
import type { ForeignEntry } from '../../../../../controller/mesh/kubernetes/entry-places.ts'
import { systemClock } from '../../../../../shared/clock.ts'
import { MooringError } from '../../../../../shared/errors.ts'
import { createLog } from '../../../../../shared/log.ts'
import { waitFor } from '../../../../world/waiting.ts'

const entry: ForeignEntry = {
  ref: { kind: 'WorkloadEntry', namespace: 'shop', name: 'theirs' },
  uid: 'u-1',
  consent: 'web',
}

function scene(answer: () => Promise<boolean>) {
  const removed: unknown[] = []
  const adoptable: ForeignEntry[] = []
  const adoption = createAdoption({
    // Of the client only what is called here.
    client: {
      async remove(type: { kind: string }, at: { name: string }, only: object) {
        removed.push([type.kind, at.name, only])
        return answer()
      },
    } as unknown as Parameters<typeof createAdoption>[0]['client'],
    places: { adoptable: () => adoptable },
    clock: { ...systemClock, sleep: async () => {} },
    log: createLog({ level: 'silent' }),
    random: () => 0,
  })
  const stop = new AbortController()
  return { removed, adoptable, adoption, stop, run: adoption.run(stop.signal) }
}

t.test('an entry is taken away by its uid, and only when there is one to adopt', async (t) => {
  const { adoption, adoptable, removed, stop, run } = scene(async () => true)
  adoption.look()
  adoptable.push(entry)
  adoption.look()
  await waitFor(() => removed.length > 0, { what: 'the removal' })
  t.same(removed[0], ['WorkloadEntry', 'theirs', { uid: 'u-1' }])
  stop.abort()
  await run
})

t.test('a failure is tried again, and an entry that is another by now is left alone', async (t) => {
  const answers = [new MooringError('MESH_UNAVAILABLE'), new MooringError('CONFLICT')]
  const { adoption, adoptable, removed, stop, run } = scene(async () => {
    const fault = answers.shift()
    if (fault !== undefined) throw fault
    return false
  })
  adoptable.push(entry)
  adoption.look()
  await waitFor(() => removed.length === 2, { what: 'a second try' })
  t.equal(answers.length, 0)
  stop.abort()
  await run
  t.equal(removed.length, 2, 'a conflict is no reason to try at once again')
})

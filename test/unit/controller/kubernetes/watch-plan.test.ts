import t from 'tap'
import { firstStep, nextStep, type WatchOutcome } from '../../../../controller/kubernetes/watch-plan.ts'

const after = (outcome: WatchOutcome, failures = 0) => nextStep({ resourceVersion: '5', failures }, outcome)

t.test('a list comes first, and a watch follows it at once', async (t) => {
  t.match(firstStep, { do: 'list', pause: false })
  t.same(after({ was: 'listed', resourceVersion: '7' }), {
    state: { resourceVersion: '7', failures: 0 },
    do: 'watch',
    pause: false,
  })
})

t.test(
  'a stream that brought something is resumed at once, and the count of failures begins anew',
  async (t) => {
    for (const was of ['ended', 'silent'] as const) {
      t.same(after({ was, resourceVersion: '9', heard: true }, 4), {
        state: { resourceVersion: '9', failures: 0 },
        do: 'watch',
        pause: false,
      })
    }
  },
)

t.test('one that brings nothing is tried ever more slowly', async (t) => {
  t.match(after({ was: 'ended', resourceVersion: '5', heard: false }, 2), {
    state: { failures: 3 },
    pause: true,
  })
  t.match(after({ was: 'failed', resourceVersion: '5', heard: false }, 2), {
    state: { failures: 3, resourceVersion: '5' },
    do: 'watch',
    pause: true,
  })
  t.match(after({ was: 'failed', resourceVersion: undefined, heard: false }), { do: 'list', pause: true })
})

t.test('only a version that is too old costs a list; a second one in a row waits', async (t) => {
  t.match(after({ was: 'expired' }), { do: 'list', pause: false, state: { resourceVersion: undefined } })
  t.match(after({ was: 'expired' }, 1), { do: 'list', pause: true })
})

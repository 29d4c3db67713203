import t from 'tap'
import type { DownMessage } from '../../../../agent/client/stream.ts'
import type { DrainOptions } from '../../../../agent/shutdown/drain.ts'
import { createRestartWindow } from '../../../../agent/sidecar/restart-window.ts'
import { silentLog } from '../../../../shared/log.ts'

const { signal } = new AbortController()
const welcome = (pacesRestarts?: boolean): DownMessage => ({
  kind: 'welcome',
  ...{ wire: 1, epoch: 1, heartbeatMs: 100, lostAfterMs: 200, bundleRevision: 'r', now: 0 },
  ...(pacesRestarts !== undefined && { pacesRestarts }),
})
const restart: DownMessage = { kind: 'restart', quietMs: 5, deadlineMs: 9 }

function world(fails = false) {
  const drains: DrainOptions[] = []
  const window = createRestartWindow({
    drain: {
      async run(options) {
        drains.push(options)
        if (fails) throw new Error('no Envoy')
        return { result: 'quiet', openRequests: 0, openConnections: 0 }
      },
    },
    log: silentLog,
  })
  let changes = 0
  window.onChange(() => {
    changes += 1
  })
  return { window, drains, changes: () => changes }
}

t.test(
  'it is asked for once, opens by the word of the controller, and closes when all is done',
  async (t) => {
    const { window, drains, changes } = world()
    window.take(welcome(true))
    t.notOk(window.isOpen())
    t.notOk(window.isOpen())
    t.ok(window.pending)
    t.equal(changes(), 1, 'told once')
    window.take(restart)
    t.ok(window.isOpen())
    await window.quiet(signal)
    t.match(drains, [{ quietMs: 5, deadlineMs: 9 }])
    window.over()
    t.notOk(window.pending)
    t.equal(changes(), 3)
    t.notOk(window.isOpen(), 'the next needs another word')
  },
)

t.test('a controller that does not pace is not waited for', async (t) => {
  const { window, drains, changes } = world()
  window.take(welcome())
  t.ok(window.isOpen())
  await window.quiet(signal)
  t.same([drains, window.pending], [[], false])
  t.equal(changes(), 0)
})

t.test('before the first welcome nobody knows whether it paces: it is waited for', async (t) => {
  const { window, changes } = world()
  t.notOk(window.isOpen())
  t.ok(window.pending, 'and the first hello says so')
  window.take(welcome(true))
  t.notOk(window.isOpen())
  window.take(restart)
  t.ok(window.isOpen())

  const other = world()
  t.notOk(other.window.isOpen())
  other.window.take(welcome())
  t.ok(other.window.isOpen(), 'an older one does not')
  t.equal(other.changes(), 2, 'who waits for it looks again')
  t.equal(changes(), 3)
})

t.test('a word that nobody asked for opens nothing; a wait that fails holds nothing up', async (t) => {
  const { window } = world(true)
  window.take(welcome(true))
  window.take(restart)
  t.notOk(window.isOpen())
  window.take(restart)
  await window.quiet(signal)
  t.ok(window.isOpen())
})

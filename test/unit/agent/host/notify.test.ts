import t from 'tap'
import type { Exec } from '../../../../agent/host/exec.ts'
import { createNotify, watchdogMs } from '../../../../agent/host/notify.ts'

function world(takes: boolean | undefined, socket: string | undefined = '/run/systemd/notify') {
  const sent: string[] = []
  const run: string[] = []
  const exec: Exec = async (command, args, { env }) => {
    run.push([command, ...args, env.NOTIFY_SOCKET].join(' '))
    return { code: 0, signal: null, stdout: '', stderr: '', timedOut: false }
  }
  const send =
    takes === undefined
      ? undefined
      : (payload: string | Uint8Array) => {
          sent.push(String(payload))
          return takes
        }
  return { notify: createNotify({ socket, send, exec }), sent, run }
}

t.test('everything is said as systemd reads it', async (t) => {
  const { notify, sent, run } = world(true)
  notify.ready()
  notify.status('joining\nREADY=1')
  notify.alive()
  notify.extend(1500)
  notify.stopping()
  t.same(sent, [
    'READY=1',
    'STATUS=joining READY=1',
    'WATCHDOG=1',
    'EXTEND_TIMEOUT_USEC=1500000',
    'STOPPING=1',
  ])
  t.same(run, [], 'no child')
})

t.test('where no datagram gets through, a child says it, in order', async (t) => {
  for (const takes of [undefined, false]) {
    const { notify, run } = world(takes)
    notify.ready()
    notify.status('x'.repeat(1000))
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(run[0], 'systemd-notify READY=1 /run/systemd/notify')
    t.equal(run[1], `systemd-notify STATUS=${'x'.repeat(300)} /run/systemd/notify`)
  }
})

t.test('without systemd nothing happens', async (t) => {
  const { notify, sent, run } = world(true, '')
  notify.ready()
  notify.alive()
  await new Promise((resolve) => setImmediate(resolve))
  t.same([sent, run], [[], []])
})

t.test('the watchdog is for the process that it names', async (t) => {
  t.equal(watchdogMs({ WATCHDOG_USEC: '60000000' }, 7), 60_000)
  t.equal(watchdogMs({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7' }, 7), 60_000)
  t.equal(watchdogMs({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '8' }, 7), undefined)
  t.equal(watchdogMs({}, 7), undefined)
  t.equal(watchdogMs({ WATCHDOG_USEC: 'soon' }, 7), undefined)
})

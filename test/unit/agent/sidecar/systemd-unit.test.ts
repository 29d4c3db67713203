import t from 'tap'
import type { Exec, ExecResult } from '../../../../agent/host/exec.ts'
import { createSystemdUnit, parseExit, parseStatus } from '../../../../agent/sidecar/systemd-unit.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const name = 'mooring-sidecar.service'
const invocation = '1f066ce3cfe0488395ba49a0539bf8a2'

// As systemd 252 prints it.
const active = `MainPID=162
ExecMainStartTimestampMonotonic=14021297004
ExecMainPID=162
ActiveState=active
InvocationID=${invocation}
`

/** Answers by verb, and keeps what was asked. */
function scripted(answers: Record<string, Partial<ExecResult> | (() => Partial<ExecResult>)> = {}) {
  const clock = createFakeClock()
  const asked: string[] = []
  const exec: Exec = async (command, args) => {
    const line = [command, ...args.filter((arg) => arg !== '--no-ask-password')].join(' ')
    asked.push(line)
    const found = Object.entries(answers).find(([words]) => line.includes(words))?.[1]
    const answer = typeof found === 'function' ? found() : found
    return { code: 0, signal: null, stdout: '', stderr: '', timedOut: false, ...answer }
  }
  return { unit: createSystemdUnit({ name, exec, clock }), asked, clock }
}

t.test('the state of a unit is read, also of one that never ran', async (t) => {
  t.same(parseStatus(active), {
    activeState: 'active',
    mainPid: 162,
    lastPid: 162,
    startedAfterBootMs: 14_021_297,
    invocation,
  })
  t.match(
    parseStatus(
      'MainPID=0\nExecMainStartTimestampMonotonic=0\nExecMainPID=0\nActiveState=inactive\nInvocationID=\n',
    ),
    { activeState: 'inactive', mainPid: 0, lastPid: 0, invocation: '' },
  )
  t.match(parseStatus('nonsense'), { activeState: 'inactive', mainPid: 0 })
  const { unit, asked } = scripted({ show: { stdout: active } })
  t.match(await unit.status(), { mainPid: 162 })
  t.match(asked[0], /^systemctl show --property=ActiveState,MainPID,\S+ mooring-sidecar\.service$/)
})

t.test('a start forgets failures before, and says why it failed', async (t) => {
  const good = scripted()
  await good.unit.start()
  t.same(good.asked, [`systemctl reset-failed ${name}`, `systemctl start ${name}`])
  const bad = scripted({ 'systemctl start': { code: 1, stderr: 'Job failed.' } })
  await t.rejects(bad.unit.start(), { code: 'SIDECAR_EXITED', detail: 'systemctl start: Job failed.' })
  const slow = scripted({ show: { code: null, timedOut: true } })
  await t.rejects(slow.unit.status(), { code: 'SIDECAR_EXITED', detail: /too long/ })
})

/** What was asked, without the looks. */
const deeds = (asked: readonly string[]) => asked.filter((line) => !line.includes(' show '))

/** Runs a stop while time passes. */
async function stopped({ unit, clock }: ReturnType<typeof scripted>, graceMs: number): Promise<void> {
  let isOver = false
  const stop = unit.stop(graceMs).finally(() => {
    isOver = true
  })
  stop.catch(() => {})
  while (!isOver) await clock.advance(50)
  await stop
}

const inState = (...states: readonly string[]) => {
  const left = [...states]
  return () => ({ stdout: `ActiveState=${left.length > 1 ? left.shift() : left[0]}\n` })
}

t.test('a stop is never waited for by systemctl, and is systemd’s own affair when it begins', async (t) => {
  const one = scripted({ show: inState('deactivating', 'deactivating', 'inactive') })
  await stopped(one, 5000)
  t.same(deeds(one.asked), [`systemctl stop --no-block ${name}`, `systemctl reset-failed ${name}`])
})

t.test('one that waits for its turn, as at a shutdown, gets its signal all the same', async (t) => {
  const one = scripted({ show: inState(...Array(20).fill('active'), 'failed') })
  await stopped(one, 5000)
  t.same(deeds(one.asked), [
    `systemctl stop --no-block ${name}`,
    `systemctl kill --kill-whom=main --signal=SIGTERM ${name}`,
    `systemctl reset-failed ${name}`,
  ])
})

t.test('what does not end in time is killed, and told when not even that helps', async (t) => {
  const slow = scripted({ show: inState(...Array(40).fill('deactivating'), 'failed') })
  await stopped(slow, 1000)
  t.equal(deeds(slow.asked)[1], `systemctl kill --signal=SIGKILL ${name}`)
  const hasty = scripted({ show: inState('active', 'inactive') })
  await stopped(hasty, 0)
  t.equal(deeds(hasty.asked)[1], `systemctl kill --signal=SIGKILL ${name}`)
  await t.rejects(stopped(scripted({ show: inState('deactivating') }), 100), {
    code: 'SIDECAR_EXITED',
    detail: /does not end/,
  })
  const refused = scripted({ 'systemctl stop': { code: 4, stderr: 'no' } })
  await t.rejects(refused.unit.stop(100), { code: 'SIDECAR_EXITED', detail: 'systemctl stop: no' })
})

t.test('the journal tells how a run ended, and its last words', async (t) => {
  const entry = (fields: object) => JSON.stringify(fields)
  const words = [
    entry({ _PID: '162', MESSAGE: 'first' }),
    entry({ _PID: '162', MESSAGE: 'last words' }),
    entry({ _PID: '162', MESSAGE: [1, 2] }),
    entry({ _PID: '1', MESSAGE: 'Scheduled restart job' }),
    'not JSON',
  ]
  const exit = (EXIT_CODE: string, EXIT_STATUS: string, MESSAGE: string) =>
    entry({ _PID: '1', MESSAGE_ID: '98e322203f7a4ed290d09fe03c09fe15', EXIT_CODE, EXIT_STATUS, MESSAGE })
  const tail = ['first', 'last words']
  t.same(parseExit([...words, exit('exited', '7', 'status=7/NOTRUNNING')].join('\n')), {
    code: 7,
    signal: null,
    tail,
  })
  t.same(
    parseExit(
      [...words, exit('killed', '9', 'x: Main process exited, code=killed, status=9/KILL')].join('\n'),
    ),
    {
      code: null,
      signal: 'SIGKILL',
      tail,
    },
  )
  t.same(parseExit(''), { code: null, signal: null, tail: [] })
  const { unit, asked } = scripted({ '--output=json': { stdout: words.join('\n') } })
  t.match(await unit.exitOf(invocation), { tail })
  t.match(asked.at(-1), `_SYSTEMD_INVOCATION_ID=${invocation} + INVOCATION_ID=${invocation}`)
  t.same(
    await unit.exitOf('--all'),
    { code: null, signal: null, tail: [] },
    'no other text gets to a command line',
  )
  t.equal(asked.length, 2)
})

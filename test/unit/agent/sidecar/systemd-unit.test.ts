import t from 'tap'
import type { Exec, ExecResult } from '../../../../agent/host/exec.ts'
import { createSystemdUnit, parseExit, parseStatus } from '../../../../agent/sidecar/systemd-unit.ts'

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
function scripted(answers: Record<string, Partial<ExecResult>> = {}) {
  const asked: string[] = []
  const exec: Exec = async (command, args) => {
    const line = [command, ...args.filter((arg) => arg !== '--no-ask-password')].join(' ')
    asked.push(line)
    const found = Object.entries(answers).find(([words]) => line.includes(words))?.[1]
    return { code: 0, signal: null, stdout: '', stderr: '', timedOut: false, ...found }
  }
  return { unit: createSystemdUnit({ name, exec }), asked }
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

t.test('a stop is patient first, and hard when that takes too long', async (t) => {
  const gentle = scripted()
  await gentle.unit.stop(5000)
  t.same(gentle.asked, [`systemctl stop ${name}`, `systemctl reset-failed ${name}`])
  const hard = scripted()
  await hard.unit.stop(0)
  t.same(hard.asked, [
    `systemctl kill --signal=SIGKILL ${name}`,
    `systemctl stop ${name}`,
    `systemctl reset-failed ${name}`,
  ])
  const refused = scripted({ 'systemctl stop': { code: 4, stderr: 'no' } })
  await t.rejects(refused.unit.stop(100), { code: 'SIDECAR_EXITED' })
  t.equal(refused.asked.filter((line) => line.includes('systemctl stop')).length, 2)
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

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import { createProcessTable, parseStat } from '../../../../agent/sidecar/process-table.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

t.test('a line of stat is read whatever the name of the program', async (t) => {
  const rest = '4194304 101 0 0 0 0 0 0 0 20 0 1 0 181747 2654208'
  fc.assert(
    fc.property(fc.string({ maxLength: 15 }), (name) => {
      const entry = parseStat(`42 (${name}) S 1 40 40 0 -1 ${rest}`)
      return entry?.pid === 42 && entry.group === 40 && entry.startTime === 181_747
    }),
  )
  t.equal(parseStat(`42 (sh) Z 1 40 40 0 -1 ${rest}`), undefined, 'a zombie is gone')
  t.equal(parseStat(''), undefined)
  t.equal(parseStat('42 (sh) S 1'), undefined)
})

t.test('groups and programs are found', async (t) => {
  const table = createProcessTable('/proc')
  const child = spawn('/bin/sh', ['-c', 'sleep 60 & exec sleep 60'], { detached: true, stdio: 'ignore' })
  await once(child, 'spawn')
  const pid = child.pid as number
  t.teardown(() => process.kill(-pid, 'SIGKILL'))
  const uid = process.getuid?.() ?? 0
  while ((await table.group(pid, uid)).length < 2) await new Promise((resolve) => setImmediate(resolve))
  t.equal((await table.find(pid))?.group, pid)
  t.ok((await table.runningFrom('/usr', uid)).some((entry) => entry.pid === pid))
  t.notOk(
    (await table.runningFrom('/usr/bi', uid)).some((entry) => entry.pid === pid),
    'whole names only',
  )
  t.same(await table.group(pid, uid + 1), [])
  t.match(await table.program(process.pid), /\/node$/)
  t.equal(await table.program(2 ** 30), undefined)
  t.match(await table.bootId(), /^[0-9a-f-]{36}$/)
  t.equal(await table.find(2 ** 30), undefined)
})

t.test('the end of a process is noticed, and so is another one with its pid', async (t) => {
  const table = createProcessTable('/proc')
  const child = spawn('/bin/sleep', ['60'], { stdio: 'ignore' })
  await once(child, 'spawn')
  const pid = child.pid as number
  const entry = await table.find(pid)
  t.ok(entry)
  const { startTime = 0 } = entry ?? {}
  const clock = createFakeClock()
  const over = new AbortController()
  const gone = table.gone({ pid, startTime }, clock, over.signal)
  await clock.untilSleeping()
  await table.gone({ pid, startTime: startTime - 1 }, clock, over.signal)
  const given = table.gone({ pid, startTime }, clock, over.signal)
  await clock.untilSleeping(2)
  over.abort(new Error('nobody waits any more'))
  await t.rejects(given, { message: 'nobody waits any more' })
  await t.rejects(gone, { message: 'nobody waits any more' })

  const again = table.gone({ pid, startTime }, clock, new AbortController().signal)
  await clock.untilSleeping()
  child.kill('SIGKILL')
  await once(child, 'exit')
  await clock.advance(200)
  await again
  await table.gone({ pid: 2 ** 22 + 1, startTime: 1 }, clock, new AbortController().signal)
})

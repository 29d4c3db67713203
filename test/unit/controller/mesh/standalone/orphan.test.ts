import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createPidRecord } from '../../../../../controller/mesh/standalone/orphan.ts'
import { identify, isAlive } from '../../../../../controller/mesh/standalone/process-table.ts'
import { systemClock } from '../../../../../shared/clock.ts'

const never = new AbortController().signal

function recordOf(file: string) {
  return createPidRecord({ file, proc: '/proc', clock: systemClock })
}

async function child(t: Test, script: string): Promise<ChildProcess & { pid: number }> {
  const process = spawn('/bin/sh', ['-c', `${script}; echo ready; while :; do sleep 0.1; done`])
  t.teardown(() => process.kill('SIGKILL'))
  await once(process.stdout, 'data')
  return process as ChildProcess & { pid: number }
}

t.test('a child that an earlier process left is ended, politely or not', async (t) => {
  for (const script of ['true', 'trap "" TERM']) {
    const file = join(t.testdir(), 'istiod.pid')
    const orphan = await child(t, script)
    await recordOf(file).remember(orphan.pid)
    const exit = once(orphan, 'exit')
    t.equal(await recordOf(file).endOrphan(never), true, script)
    await exit
    t.equal(existsSync(file), false)
    t.equal(await recordOf(file).endOrphan(never), false)
  }
})

t.test('another process that got the same pid is left alone', async (t) => {
  const file = join(t.testdir(), 'istiod.pid')
  const other = await child(t, 'true')
  const identity = await identify('/proc', other.pid)
  t.ok(identity !== undefined && (await isAlive('/proc', identity)))
  const changes = [{ startTime: (identity?.startTime ?? 0) - 1 }, { bootId: 'other' }, { pid: 'x' }]
  for (const change of changes) {
    writeFileSync(file, JSON.stringify({ ...identity, ...change }))
    t.equal(await recordOf(file).endOrphan(never), false)
  }
  writeFileSync(file, '{"pid":')
  t.equal(await recordOf(file).endOrphan(never), false)
  t.equal(other.exitCode, null)
  t.equal(await identify('/proc', 2 ** 30), undefined)
})

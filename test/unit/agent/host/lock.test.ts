import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { takeLock } from '../../../../agent/host/lock.ts'

const alive = new Map([
  [10, 100],
  [20, 200],
])
const programs = new Map([
  [10, '/usr/bin/something'],
  [20, '/usr/bin/mooring-agent'],
])
const processes = {
  find: async (pid: number) => {
    const startTime = alive.get(pid)
    return startTime === undefined ? undefined : { startTime }
  },
  program: async (pid: number) => programs.get(pid),
  bootId: async () => 'this-boot',
}

async function place(t: Test): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mooring-lock-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return path.join(folder, 'deeper/agent.lock')
}

t.test('one holds it, until it is given back', async (t) => {
  const lock = await place(t)
  const release = await takeLock({ path: lock, pid: 10, processes })
  await t.rejects(takeLock({ path: lock, pid: 20, processes }), {
    code: 'ALREADY_RUNNING',
    detail: 'process 10',
  })
  await release()
  await (await takeLock({ path: lock, pid: 20, processes }))()
  t.same(await readdir(path.dirname(lock)), [], 'nothing is left over')
})

t.test('the lock of a dead process is taken over', async (t) => {
  const stale: Record<string, string> = {
    'its pid is gone': JSON.stringify({ pid: 99, startTime: 1, bootId: 'this-boot' }),
    'its pid is another process now': JSON.stringify({ pid: 10, startTime: 7, bootId: 'this-boot' }),
    'it is of an earlier boot': JSON.stringify({ pid: 10, startTime: 100, bootId: 'that-boot' }),
    'it is damaged': '{"pid":',
    'it is nonsense': 'null',
    'it is empty': '',
  }
  for (const [name, text] of Object.entries(stale)) {
    const lock = await place(t)
    await (await takeLock({ path: lock, pid: 20, processes }))()
    await writeFile(lock, text)
    const release = await takeLock({ path: lock, pid: 20, processes })
    await t.rejects(takeLock({ path: lock, pid: 10, processes }), { code: 'ALREADY_RUNNING' }, name)
    await release()
  }
})

t.test('who lives is not taken for one of an earlier boot because it sees another boot id', async (t) => {
  const lock = await place(t)
  const seenFromUnit = { ...processes, bootId: async () => 'as the unit sees it' }
  const same = { ...processes, program: async () => '/usr/bin/mooring-agent' }
  await takeLock({ path: lock, pid: 10, processes: seenFromUnit })
  await t.rejects(takeLock({ path: lock, pid: 20, processes: same }), {
    code: 'ALREADY_RUNNING',
    detail: 'process 10',
  })
  await takeLock({ path: lock, pid: 20, processes })
  t.pass('another program that has its pid and start time in a later boot is not it')
})

t.test('the same pid at the same tick of the next boot is the taker itself', async (t) => {
  const lock = await place(t)
  const before = { ...processes, bootId: async () => 'that-boot' }
  await takeLock({ path: lock, pid: 20, processes: before })
  await takeLock({ path: lock, pid: 20, processes })
  await t.rejects(takeLock({ path: lock, pid: 10, processes }), {
    code: 'ALREADY_RUNNING',
    detail: 'process 20',
  })
})

t.test('of many that find a dead one, one gets it', async (t) => {
  for (let round = 0; round < 20; round += 1) {
    const lock = await place(t)
    await (await takeLock({ path: lock, pid: 20, processes }))()
    await writeFile(lock, JSON.stringify({ pid: 99, startTime: 1, bootId: 'this-boot' }))
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => takeLock({ path: lock, pid: 20, processes })),
    )
    t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  }
})

t.test('what a process left that was killed while taking over is no obstacle', async (t) => {
  const lock = await place(t)
  await (await takeLock({ path: lock, pid: 20, processes }))()
  await writeFile(lock, JSON.stringify({ pid: 99, startTime: 1, bootId: 'this-boot' }))
  await mkdir(`${lock}.takeover`)
  await utimes(`${lock}.takeover`, 1, 1)
  await (await takeLock({ path: lock, pid: 20, processes }))()
  t.same(await readdir(path.dirname(lock)), [])
})

t.test('who lost it does not take it from the next', async (t) => {
  const lock = await place(t)
  const release = await takeLock({ path: lock, pid: 10, processes })
  await rm(lock)
  await takeLock({ path: lock, pid: 20, processes })
  await release()
  await t.rejects(takeLock({ path: lock, pid: 10, processes }), { code: 'ALREADY_RUNNING' })
})

import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  createIstiod,
  type IstiodDeps,
  type IstiodRun,
} from '../../../../../controller/mesh/standalone/istiod.ts'
import { createPidRecord } from '../../../../../controller/mesh/standalone/orphan.ts'
import { systemClock } from '../../../../../shared/clock.ts'
import { silentLog } from '../../../../../shared/log.ts'
import { createFakeClock } from './fake-clock.ts'

const never = new AbortController().signal

/** A program in istiod's place: writes down how it was called, then does what the script says. */
function setUp(t: Test, script: string, deps: Partial<IstiodDeps> = {}) {
  const folder = t.testdir()
  const binary = join(folder, 'istiod')
  writeFileSync(binary, `#!/bin/sh\necho "$@" >> ${folder}/calls\nenv >> ${folder}/env\n${script}\n`)
  chmodSync(binary, 0o755)
  const runs: IstiodRun[] = []
  const order: string[] = []
  const pidFile = join(folder, 'istiod.pid')
  const istiod = createIstiod({
    binary,
    arguments: ({ http, secure, monitoring }) => [`${http}`, `${secure}`, `${monitoring}`],
    environment: () => ({ ONLY: 'this' }),
    folder,
    logFile: join(folder, 'istiod.log'),
    pidRecord: createPidRecord({ file: pidFile, proc: '/proc', clock: systemClock }),
    clock: systemClock,
    log: silentLog,
    random: () => 0,
    before: async () => {
      order.push('before')
    },
    during: async (run) => {
      order.push('during')
      runs.push(run)
    },
    ...deps,
  })
  t.teardown(() => istiod.stop())
  return { istiod, folder, runs, order, pidFile }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const stay = 'while :; do sleep 0.05; done'

t.test('it runs with the given environment and three free ports, and stops', async (t) => {
  const { istiod, folder, runs, pidFile } = setUp(t, stay)
  await istiod.start(never)
  const environment = () => readFileSync(join(folder, 'env'), 'utf8')
  await until(() => existsSync(join(folder, 'env')) && /^PWD=/m.test(environment()) && runs.length === 1)
  const { http, secure, monitoring } = runs[0]?.ports ?? { http: 0, secure: 0, monitoring: 0 }
  t.equal(new Set([0, http, secure, monitoring]).size, 4)
  t.equal(readFileSync(join(folder, 'calls'), 'utf8').trim(), `${http} ${secure} ${monitoring}`)
  const env = environment()
  t.match(env, /^ONLY=this$/m)
  t.notMatch(env, /^(HOME|PATH|USER)=\/.*node_modules/m)
  t.equal(istiod.state().running, true)
  t.equal(JSON.parse(readFileSync(pidFile, 'utf8')).pid, istiod.state().pid)
  await istiod.stop()
  t.equal(istiod.state().running, false)
  t.equal(runs[0]?.ended.aborted, true)
  t.equal(existsSync(pidFile), false)
})

t.test('one that ends is started again, each time prepared and accompanied', async (t) => {
  const { istiod, runs, order } = setUp(t, 'echo going down >&2; exit 3')
  await istiod.start(never)
  await until(() => runs.length >= 3)
  // Asked now: the stop may meet a next one, which then ends otherwise.
  const { lastExit } = istiod.state()
  await istiod.stop()
  t.same(order.slice(0, 4), ['before', 'during', 'before', 'during'])
  t.equal(lastExit, 'exit status 3')
  t.ok(istiod.state().restarts >= 2)
  t.ok(runs[0]?.ended.aborted)
})

t.test('a restart that is asked for, and a companion that fails, do no harm', async (t) => {
  const { istiod, folder } = setUp(t, stay, {
    during: async () => {
      throw new Error('nobody to accompany')
    },
  })
  await istiod.start(never)
  const first = istiod.state().pid
  istiod.restart()
  await until(() => istiod.state().pid !== undefined && istiod.state().pid !== first)
  t.equal(istiod.state().lastExit, 'SIGTERM')
  await until(() => readFileSync(join(folder, 'calls'), 'utf8').split('\n').length > 2)
  await istiod.stop()
})

t.test('one that hangs is ended all the same', async (t) => {
  const clock = createFakeClock()
  const { istiod, folder, runs } = setUp(t, `trap '' TERM; echo > ${'$'}PWD/trapped; ${stay}`, { clock })
  await istiod.start(never)
  await until(() => existsSync(join(folder, 'trapped')))
  istiod.restart()
  await until(() => runs.length > 1)
  t.equal(istiod.state().lastExit, 'SIGKILL')
  await istiod.stop()
})

t.test('a program that cannot be run is tried again, and stopping does not wait for it', async (t) => {
  const { istiod, folder, order } = setUp(t, '')
  chmodSync(join(folder, 'istiod'), 0o644)
  const start = istiod.start(AbortSignal.timeout(300))
  await t.rejects(start)
  await until(() => order.length > 1)
  t.match(istiod.state().lastExit, /EACCES/)
  await istiod.stop()
})

t.test('lines of its output are told', async (t) => {
  const lines: string[] = []
  const { istiod } = setUp(t, `echo one; echo two >&2; ${stay}`, { onLine: (line) => lines.push(line) })
  await istiod.start(never)
  await until(() => lines.length === 2)
  t.same(lines.sort(), ['one', 'two'])
  await istiod.stop()
})

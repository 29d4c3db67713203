import t from 'tap'
import { createPreflightTask, type PreflightDeps } from '../../../../agent/steps/preflight.ts'

const { signal } = new AbortController()

function task(change: Partial<PreflightDeps> = {}) {
  return createPreflightTask({
    uid: 0,
    arch: 'amd64',
    platform: 'linux',
    hasProgram: async () => true,
    captureWanted: () => true,
    skewMs: () => undefined,
    ...change,
  })
}

t.test('a fit machine is done, and there is nothing to apply', async (t) => {
  t.equal(await task().check(signal), true)
  t.equal(task().note?.(), undefined)
  await t.resolves(task().apply(signal))
})

t.test('what only people can mend is named', async (t) => {
  await t.rejects(task({ uid: 1000 }).check(signal), { code: 'NOT_ROOT' })
  await t.rejects(task({ arch: 's390x' }).check(signal), {
    code: 'PLATFORM_UNSUPPORTED',
    detail: 'linux s390x',
  })
  await t.rejects(task({ platform: 'darwin' }).check(signal), { code: 'PLATFORM_UNSUPPORTED' })
  await t.rejects(task({ hasProgram: async () => false }).check(signal), { code: 'IPTABLES_MISSING' })
  t.equal(await task({ hasProgram: async (name) => name === 'nft' }).check(signal), true, 'nftables will do')
})

t.test('a pool that captures nothing needs no iptables', async (t) => {
  for (const captureWanted of [() => false, () => undefined]) {
    t.equal(await task({ captureWanted, hasProgram: async () => false }).check(signal), true)
  }
})

t.test('a wrong clock is a note, not an obstacle', async (t) => {
  const late = task({ skewMs: () => -600_000 })
  t.equal(await late.check(signal), true)
  t.match(late.note?.(), { reason: 'CLOCK_WRONG', message: /600 s behind/ })
})

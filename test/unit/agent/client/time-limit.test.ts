import t from 'tap'
import { isTimeout, withTimeLimit } from '../../../../agent/client/time-limit.ts'

const { signal } = new AbortController()
const never = () => new Promise<never>(() => {})

t.test('what ends in time is its own result', async (t) => {
  t.equal(await withTimeLimit(60_000, signal, async () => 1), 1)
  const failed = withTimeLimit(60_000, signal, async () => {
    throw new Error('failed')
  })
  await t.rejects(failed, { message: 'failed' })
})

t.test('what takes too long is ended, and given up when it does not heed that', async (t) => {
  let told: AbortSignal | undefined
  const error = await withTimeLimit(5, signal, (limit) => {
    told = limit
    return never()
  }).catch((error: unknown) => error)
  t.ok(isTimeout(error))
  t.ok(told?.aborted)
  t.notOk(isTimeout(new Error('other')))
})

t.test('an abort comes through with its reason', async (t) => {
  const stop = new AbortController()
  let told: AbortSignal | undefined
  const asked = withTimeLimit(60_000, stop.signal, (limit) => {
    told = limit
    return never()
  })
  stop.abort(new Error('stopped'))
  await t.rejects(asked, { message: 'stopped' })
  t.match(told?.reason, { message: 'stopped' })
  await t.rejects(withTimeLimit(60_000, stop.signal, never), { message: 'stopped' })
})

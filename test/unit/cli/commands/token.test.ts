import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { createFakeClock } from '../../../fakes/clock.ts'
import { createCommandLine, environmentOf } from '../command-line.ts'
import { now } from '../samples.ts'
import { createStandIn, refuse } from '../stand-in.ts'

const created = {
  id: 'tok-1',
  pool: 'web',
  token: 'mooring-join-secret',
  uses: 3,
  expiresAt: now + 3_600_000,
}
const clock = createFakeClock(now)

t.test('standard output is the token alone, so that it can be piped', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/tokens', () => created)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  const { code, out, err } = await line.run('token', 'create', '--pool', 'web', '--uses', '3', '--ttl', '1h')
  t.same([code, out], [0, 'mooring-join-secret\n'])
  t.match(err, /token tok-1 for pool web: 3 uses, expires in 60m/)
  t.notMatch(err, /secret/)
  t.same(standIn.seen[0]?.body, { pool: 'web', uses: 3, ttlSeconds: 3600 })
  t.same(JSON.parse((await line.run('token', 'create', '--pool', 'web', '--json')).out), created)
})

t.test('into a file it is private, and nowhere else', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/tokens', () => created)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  const file = path.join(t.testdirName, 'join-token')
  const plain = await line.run('token', 'create', '--pool', 'web', '--out', file)
  const json = await line.run('token', 'create', '--pool', 'web', '--out', file, '--json')
  t.equal(await readFile(file, 'utf8'), 'mooring-join-secret\n')
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.notMatch(plain.out + plain.err + json.out + json.err, /secret/)
  t.match(JSON.parse(json.out), { id: 'tok-1', uses: 3 })
})

t.test('no token is made that could not be kept, and no file for one that was not made', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/tokens', () => refuse('FORBIDDEN', 'operator of web'))
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  t.equal((await line.run('token', 'create', '--pool', 'web', '--out', '/dev/null/x')).code, 2)
  t.equal((await line.run('token', 'create', '--pool', 'web', '--uses', 'many')).code, 2)
  t.equal((await line.run('token', 'create', '--pool', 'web', '--ttl', 'soon')).code, 2)
  t.same(standIn.seen, [])
  const before = await readdir(t.testdirName)
  t.equal(
    (await line.run('token', 'create', '--pool', 'web', '--out', path.join(t.testdirName, 'x'))).code,
    3,
  )
  t.same(await readdir(t.testdirName), before)
})

t.test('tokens are listed by pool and taken back', async (t) => {
  const standIn = await createStandIn(t)
  const view = {
    id: 'tok-1',
    pool: 'web',
    uses: 3,
    used: 1,
    expiresAt: now + 60_000,
    createdBy: 'operator:ada',
  }
  const used = { ...view, id: 'tok-2', used: 3 }
  const expired = { ...used, id: 'tok-3', expiresAt: now }
  standIn.on('GET /v1/tokens', () => [view, used, expired])
  standIn.on('DELETE /v1/tokens/tok-1', () => undefined)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  const { out } = await line.run('token', 'list', '--pool', 'web')
  t.match(out, /ID +POOL +STATE +USED/)
  t.match(out, /tok-1 +web +valid +1 of 3 +in 60s +operator:ada\n/)
  t.match(out, /tok-2 +web +used +3 of 3 /)
  t.match(out, /tok-3 +web +expired +3 of 3 /, 'what ended counts before what was used')
  t.match(JSON.parse((await line.run('token', 'list', '--json')).out), [
    { state: 'valid' },
    { state: 'used' },
    { state: 'expired' },
  ])
  t.match((await line.run('token', '--help')).out, /used up or expired/)
  t.same(standIn.seen[0]?.query, { pool: 'web' })
  t.same(await line.run('token', 'delete', 'tok-1'), { code: 0, out: 'token tok-1 deleted\n', err: '' })
})

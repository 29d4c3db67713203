import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { createFakeClock } from '../../../fakes/clock.ts'
import { createCommandLine, environmentOf } from '../command-line.ts'
import { me, now } from '../samples.ts'
import { createStandIn } from '../stand-in.ts'

const clock = createFakeClock(now)

t.test('an operator is made with role, pools and a token that is shown once', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/operators', () => ({
    name: 'bo',
    role: 'operator',
    pools: ['web', 'api'],
    token: 'operator-secret',
    expiresAt: now + 60_000,
  }))
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  const argv = ['operator', 'create', 'bo', '--role', 'operator', '--pools', 'web, api', '--ttl', '30d']
  const { code, out, err } = await line.run(...argv)
  t.same([code, out], [0, 'operator-secret\n'])
  t.match(err, /operator bo is operator of web, api, expires in 60s/)
  t.same(standIn.seen[0]?.body, {
    name: 'bo',
    role: 'operator',
    pools: ['web', 'api'],
    ttlSeconds: 2_592_000,
  })
  const file = path.join(t.testdirName, 'bo-token')
  const quiet = await line.run(...argv, '--out', file)
  t.equal(await readFile(file, 'utf8'), 'operator-secret\n')
  t.notMatch(quiet.out + quiet.err, /secret/)
})

t.test('a role that does not exist is wrong usage, and so is none', async (t) => {
  const standIn = await createStandIn(t)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  t.match(await line.run('operator', 'create', 'bo', '--role', 'king'), {
    code: 2,
    err: /viewer, operator, admin/,
  })
  t.equal((await line.run('operator', 'create', 'bo')).code, 2)
  t.same(standIn.seen, [])
})

t.test('operators are listed and deleted', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/operators', () => [me])
  standIn.on('DELETE /v1/operators/ada', () => undefined)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  t.match((await line.run('operator', 'list')).out, /ada +admin +\* +in 24h\n/)
  t.same(await line.run('operator', 'delete', 'ada'), { code: 0, out: 'operator ada deleted\n', err: '' })
})

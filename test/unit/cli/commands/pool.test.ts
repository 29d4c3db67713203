import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { readPools } from '../../../../cli/pool-document.ts'
import { createCommandLine, environmentOf } from '../command-line.ts'
import { now, poolSample } from '../samples.ts'
import { createStandIn, refuse } from '../stand-in.ts'

const { spec } = poolSample()

t.test('pools of several files and standard input are applied', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('PUT /v1/pools/web', () => poolSample())
  standIn.on('PUT /v1/pools/api', () => poolSample({ name: 'api', updatedAt: now }))
  const input = stringify({ name: 'api', spec })
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), input })
  const file = path.join(t.testdirName, 'web.yaml')
  await writeFile(file, stringify({ name: 'web', spec }))
  t.same(await line.run('pool', 'apply', '-f', file, '-'), {
    code: 0,
    out: 'pool web created\npool api applied\n',
    err: '',
  })
  t.same(
    standIn.seen.map((seen) => seen.body),
    [spec, spec],
  )
  const json = await line.run('pool', 'apply', '--json', '-f', file)
  t.match(JSON.parse(json.out), [{ name: 'web', counts: { ready: 2 } }])
})

t.test('a mistake in the last document sends nothing', async (t) => {
  const standIn = await createStandIn(t)
  const input = `${stringify({ name: 'web', spec })}---\n${stringify({ name: 'api', spec: { ...spec, labls: {} } })}`
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), input })
  const { code, out, err } = await line.run('pool', 'apply', '-f', '-')
  t.equal(code, 2)
  t.equal(out, '')
  t.match(err, /error CONFIG_INVALID: .*\n {2}cause {2}-:\d+: spec\.labls: there is no such field\n {2}fix/)
  t.same(standIn.seen, [])
  t.equal((await line.run('pool', 'apply', '-f', '/nowhere/x.yaml')).code, 2)
})

t.test('what is shown can be applied again', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/pools/web', () => poolSample())
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  const { out } = await line.run('pool', 'show', 'web')
  t.same(readPools(out, 'out'), [{ name: 'web', spec }])
  t.match(out, /# VMs: 2 ready, 1 lost/)
})

t.test('what the cluster says of a pool is shown', async (t) => {
  const standIn = await createStandIn(t)
  const message = 'Sidecar shop/theirs selects the VMs\nof pool web'
  const fit = { type: 'Fit', status: 'False', reason: 'MESH_SIDECAR_CLASH', message, since: now } as const
  standIn.on('GET /v1/pools/web', () => poolSample({ conditions: [fit] }))
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  const { out } = await line.run('pool', 'show', 'web')
  t.match(out, '# Fit False, MESH_SIDECAR_CLASH: Sidecar shop/theirs selects the VMs of pool web\n')
  t.same(readPools(out, 'out'), [{ name: 'web', spec }])
})

t.test('the list counts VMs, and one without a service says so', async (t) => {
  const standIn = await createStandIn(t)
  const { service: _, ...client } = spec
  standIn.on('GET /v1/pools', () => [poolSample(), poolSample({ name: 'jobs', spec: client, counts: {} })])
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  const { out } = await line.run('pool', 'list')
  t.match(out, /^NAME +NAMESPACE +ACCOUNT +SERVICE +JOIN +READY +VMS\n/)
  t.match(out, /\nweb +shop +web +web\.shop\.internal:80 +token, renew +2 +3\n/)
  t.match(out, /\njobs .* - .* 0 +0\n/)
})

t.test('a pool with VMs is not deleted, and the reason is said', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('DELETE /v1/pools/web', () => refuse('CONFLICT', '3 in web'))
  standIn.on('DELETE /v1/pools/old', () => undefined)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  t.match(await line.run('pool', 'delete', 'web'), { code: 1, err: /cause {2}3 in web/ })
  t.match(await line.run('pool', 'delete', 'old'), { code: 0, out: 'pool old deleted\n' })
  t.same(JSON.parse((await line.run('pool', 'delete', 'old', '--json')).out), { name: 'old', deleted: true })
})

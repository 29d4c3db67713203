import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { AuditRecord, PoolView, TokenView, VmExplanation, VmView } from '../../shared/api/operator.ts'
import type { ErrorCode } from '../../shared/error-catalogue.ts'
import type { ControllerProcess } from '../world/controller-process.ts'
import { createMooring, type Said } from '../world/mooring.ts'
import { createOperator } from '../world/operator.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, serverPool } from '../world/world.ts'

t.test('an operator lives by the command line alone', async (t) => {
  const home = t.testdir()
  const mooring = createMooring(home)

  // --- the first login, against a controller that nobody knows yet
  const world = await createWorld({
    name: 'cli',
    async enrol(controller) {
      const { operatorUrl: server, pin, enrolmentCode: input } = controller
      const login = (pin: string) =>
        mooring.run(['login', '--server', server, '--pin', pin, '--enrol', '-', '--name', 'ada'], { input })
      const wrong = `sha256:${'0'.repeat(64)}`
      failed(
        t,
        await login(wrong),
        4,
        'CONTROLLER_UNTRUSTED',
        'a controller with another key is told nothing',
      )
      const first = await login(pin)
      t.equal(first.code, 0, first.err)
      t.match(first.out, /as ada \(admin of all pools\)/)
      failed(t, await login(pin), 3, 'ENROLMENT_INVALID', 'the code serves once')
      return administrator(controller, join(home, '.config/mooring/config.json'))
    },
  })
  t.teardown(() => world.close())
  const { operatorUrl, ca } = world.controller
  t.equal((await stat(join(home, '.config/mooring/config.json'))).mode & 0o777, 0o600)
  const caFile = join(home, 'ca.pem')
  await writeFile(caFile, ca)
  /** The environment of somebody with a token of their own. */
  const as = async (role: string, ttl: string) => {
    const file = join(home, `${role}-${ttl}`)
    const made = await mooring.run([
      'operator',
      'create',
      `${role}-${ttl}`,
      '--role',
      role,
      '--ttl',
      ttl,
      '--out',
      file,
    ])
    t.equal(made.code, 0, made.err)
    return { MOORING_URL: operatorUrl, MOORING_CA_FILE: caFile, MOORING_TOKEN_FILE: file }
  }
  const soonOver = await as('admin', '60s')

  await t.test('a pool', async (t) => {
    const input = JSON.stringify({ name: 'shop', spec: serverPool })
    t.equal((await mooring.run(['pool', 'apply', '-f', '-'], { input })).out, 'pool shop created\n')
    t.equal((await mooring.run(['pool', 'apply', '-f', '-'], { input })).out, 'pool shop applied\n')
    t.match((await mooring.run(['pool', 'list'])).out, /^shop +default +echo +echo\.mooring\.internal:8080,/m)
    const pools = await mooring.json<PoolView[]>('pool', 'list')
    t.same(pools.map(({ name }) => name).toSorted(), ['clients', 'servers', 'shop'])
    t.match((await mooring.run(['pool', 'show', 'shop'])).out, /^name: shop$/m)
    t.match(await mooring.json('pool', 'show', 'shop'), { name: 'shop', spec: serverPool })
    failed(t, await mooring.run(['pool', 'show', 'none']), 1, 'NOT_FOUND', 'there is no such pool')
    const bad = JSON.stringify({ name: 'shop', spec: { ...serverPool, serviceAccount: 7 } })
    const refused = await mooring.run(['pool', 'apply', '-f', '-'], { input: bad })
    t.equal(refused.code, 2, refused.err)
    t.match(refused.err, 'serviceAccount')
  })

  const watch = mooring.follow('vm', 'watch', '--pool', 'shop', '--json')
  const seen = () =>
    watch.lines
      .map((line) => JSON.parse(line) as { event: string; vm?: VmView })
      .flatMap(({ vm }) => (vm === undefined ? [] : [`${vm.hostname} ${vm.phase}`]))
  const only = async (hostname: string) =>
    (await mooring.json<VmView[]>('vm', 'list')).find((vm) => vm.hostname === hostname)
  const token = async (...options: string[]) => {
    const made = await mooring.run(['token', 'create', '--pool', 'shop', ...options])
    t.match(made.out, /^\S+\n$/, 'the token and nothing else')
    return made.out.trim()
  }

  await t.test('a VM joins with a token, and gets ready', async (t) => {
    const secret = await token('--ttl', '10m')
    const list = await mooring.run(['token', 'list'])
    t.match(list.out, /shop +valid +0 of 1 /)
    const [view] = await mooring.json<TokenView[]>('token', 'list', '--pool', 'shop')
    t.equal(view?.pool, 'shop')
    t.notMatch(list.out + JSON.stringify(view), secret, 'it is shown this once')

    const a = await world.prepare('a', 'shop', { token: secret })
    await a.startAgent()
    const waiting = await waitFor(
      async () => {
        const vm = await only('a')
        const explanation = vm && (await mooring.json<VmExplanation>('vm', 'explain', vm.id))
        return explanation?.step === 'ApplicationHealthy' && { ...explanation, id: vm?.id ?? '' }
      },
      { what: 'mooring to say that the application is missing' },
    )
    t.match(
      (await mooring.run(['vm', 'explain', waiting.id.slice(0, 8)])).out,
      /\n {2}step +ApplicationHealthy/,
    )
    await a.startApp()
    await a.waitPhase('ready')
    await world.bake(a)
    t.match((await mooring.run(['vm', 'list'])).out, new RegExp(`^${waiting.id} +shop +ready`, 'm'))
    t.match((await mooring.run(['vm', 'show', waiting.id])).out, new RegExp(`address +${a.vm.address}`))
    t.match(await mooring.json('vm', 'show', waiting.id.slice(0, 8)), { id: waiting.id, phase: 'ready' })
    t.match(await mooring.json('vm', 'explain', waiting.id), { ready: true })
    await waitFor(() => seen().includes('a ready'), { what: 'the watcher to see it' })
    t.match((await mooring.run(['token', 'list'])).out, /shop +used +1 of 1 /, 'the token is used up')
  })

  await t.test('an expired token lets nobody in', async (t) => {
    const stranger = await world.prepare('stranger', 'shop', { token: await token('--ttl', '1s') })
    await waitFor(
      async () => {
        const tokens = await mooring.json<TokenView[]>('token', 'list')
        return tokens.every(({ used, uses, expiresAt }) => used === uses || expiresAt < Date.now())
      },
      { what: 'the token to end' },
    )
    await stranger.startAgent()
    const denied = await waitFor(
      async () => (await mooring.json<AuditRecord[]>('audit')).find(({ code }) => code === 'TOKEN_EXPIRED'),
      { what: 'the refusal on record' },
    )
    t.match(denied, { action: 'join', outcome: 'denied' })
    t.match((await mooring.run(['audit'])).out, /join +\S+ +denied +TOKEN_EXPIRED/)
    await stranger.killAgent()
  })

  await t.test('VMs drain, and are removed', async (t) => {
    const [a, b] = [await only('a'), await world.prepare('b', 'shop', { token: await token() })]
    await b.startApp()
    await b.startAgent()
    const { id } = await b.waitPhase('ready')
    const drained = await mooring.run(['vm', 'drain', a?.id ?? '', '--wait', '--timeout', '2m'])
    t.equal(drained.code, 0, drained.err)
    t.match(drained.out, new RegExp(`^${a?.id} left after \\S`))
    const unsure = await mooring.run(['vm', 'remove', id])
    t.equal(unsure.code, 2, 'nobody is there to be asked')
    t.match(unsure.err, '--yes')
    t.match(await mooring.json('vm', 'remove', id, '--yes', '--wait'), { id, phase: 'left', revoked: true })
    await waitFor(() => ['a left', 'b left'].every((text) => seen().includes(text)), {
      what: 'the watcher to see them go',
    })
    const order = seen().filter((text, i, all) => text.startsWith('a ') && text !== all[i - 1])
    t.ok(order.indexOf('a ready') < order.indexOf('a draining'), order.join(', '))
    t.equal(await watch.end(), 130, 'the watcher is interrupted')

    const records = await mooring.json<AuditRecord[]>('audit', '--target', `vm/${a?.id}`)
    t.ok(records.some(({ action, actor }) => action === 'vm.drain' && actor === 'operator:ada'))
    t.ok(records.every(({ target }) => target === `vm/${a?.id}`))
  })

  await t.test('what goes wrong has a code, in words and in JSON', async (t) => {
    failed(t, await mooring.run(['vm', 'show', 'vm-none']), 1, 'NOT_FOUND', 'an unknown VM')
    const { code, out, err } = await mooring.run(['vm', 'drain', 'vm-none', '--json'])
    t.equal(code, 1)
    t.equal(out, '')
    t.match(JSON.parse(err), { code: 'NOT_FOUND', retryable: false })

    const env = await as('viewer', '1h')
    const b = await only('b')
    t.equal((await mooring.run(['vm', 'show', b?.id ?? ''], { env })).code, 0, 'a viewer may look')
    failed(t, await mooring.run(['vm', 'drain', b?.id ?? ''], { env }), 3, 'FORBIDDEN', 'and no more')
    failed(
      t,
      await mooring.run(['token', 'create', '--pool', 'shop'], { env }),
      3,
      'FORBIDDEN',
      'nor make tokens',
    )
    t.equal((await mooring.run(['vm', 'dance'])).code, 2)

    const over = await waitFor(
      async () => {
        const said = await mooring.run(['whoami'], { env: soonOver })
        return said.code !== 0 && said
      },
      { what: "the operator's token to end", everyMs: 1_000 },
    )
    failed(t, over, 3, 'UNAUTHENTICATED', 'an expired token')
    await world.controller.stop()
    failed(t, await mooring.run(['vm', 'list']), 4, 'CONTROLLER_UNREACHABLE', 'no controller')
  })
})

/** It ended as a failure does: a code for programs, words and what to do for people, nothing on standard output. */
function failed(t: Test, said: Said, code: number, error: ErrorCode, what: string): void {
  t.equal(said.code, code, `${what}: ${said.err}`)
  t.match(said.err, `error ${error}: `)
  t.match(said.err, /\n {2}fix {4}\S/, 'and what to do')
  t.equal(said.out, '')
}

/** Who logged in by the command line, for what the scene itself has to ask. */
async function administrator(controller: ControllerProcess, configFile: string) {
  const { contexts } = JSON.parse(await readFile(configFile, 'utf8')) as {
    contexts: { default: { token: string } }
  }
  return createOperator({
    url: controller.operatorUrl,
    ca: controller.ca,
    token: contexts.default.token,
  })
}

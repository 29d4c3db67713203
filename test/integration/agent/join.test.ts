import 'reflect-metadata'
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import t from 'tap'
import { effectNames } from '../../../agent/effects.ts'
import { createFakeController, workloadToken } from '../../fakes/stand-in-controller.ts'
import { waitFor } from '../../world/waiting.ts'
import { createTestVm, joinToken } from './vm.ts'

t.test(
  'a VM joins by pin and token, holds a stream, leaves on SIGTERM, and comes back by its key',
  async (t) => {
    const controller = await createFakeController()
    const vm = await createTestVm({ controller })
    t.teardown(() => Promise.all([vm.close(), controller.close()]))
    const agent = vm.start()
    await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
    await waitFor(() => controller.heard.filter(({ kind }) => kind === 'heartbeat').length > 2, {
      what: 'heartbeats',
    })

    await t.test('its request was what the contract says', async (t) => {
      const [request] = controller.joins
      t.match(request, { pool: 'servers', evidence: { method: 'token', token: joinToken } })
      t.match(request?.facts, { hostname: /./, arch: /^(amd64|arm64)$/, bootId: /^[0-9a-f-]{36}$/ })
      t.equal(controller.joins.length, 1)
      const [hello] = controller.heard
      t.match(hello, { kind: 'hello', status: { bundleRevision: 'r1' } })
    })

    await t.test('what it keeps is for root alone', async (t) => {
      const state = await vm.state()
      t.equal(state.identity?.vm, controller.open[0])
      t.equal((await stat(vm.stateFile)).mode & 0o777, 0o600)
      t.equal((await stat(`${vm.stateFile}.previous`)).mode & 0o777, 0o600)
      t.equal((await stat(path.join(vm.root, 'run/mooring/agent.sock'))).mode & 0o777, 0o600)
    })

    await t.test('every thread of it has the group that the traffic rules let pass', async (t) => {
      const tasks = `/proc/${agent.pid}/task`
      for (const id of await readdir(tasks)) {
        t.match(await readFile(path.join(tasks, id, 'status'), 'utf8'), /^Gid:\t1337\t1337\t1337\t1337$/m)
      }
    })

    await t.test('it says what it does', async (t) => {
      const status = await vm.status()
      t.match(status, { stage: 'converging', connected: true, pool: 'servers', vm: controller.open[0] })
      const identity = status.conditions.find(({ type }) => type === 'IdentityValid')
      t.equal(identity?.status, 'True')
      const installed = status.conditions.find(({ type }) => type === 'SidecarInstalled')
      t.match(installed, { status: 'False', reason: 'ARTIFACT_UNAVAILABLE' })
      const words = await vm.agent('status')
      t.match(words.stdout, /fix: Add it to the controller/)
    })

    await t.test('SIGTERM: it asks to be drained, says what it does, and ends', async (t) => {
      agent.kill('SIGTERM')
      t.equal(await vm.ended(agent), 0, vm.log())
      const kinds = controller.heard
        .map(({ kind }) => kind)
        .filter((kind) => !/hello|heartbeat|status/.test(kind))
      t.same(kinds, ['drain-request', 'drained', 'left'])
      t.match((await vm.state()).left, { reason: 'shutdown' })
    })

    await t.test('the next start renews with the same key, and shows no token', async (t) => {
      const before = (await vm.state()).identity?.vm
      const again = vm.start()
      await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
      t.match(controller.joins[1]?.evidence, { method: 'renew', vm: before })
      t.equal(controller.open[0], before)
      again.kill('SIGTERM')
      t.equal(await vm.ended(again), 0)
    })

    await t.test('nothing secret is in any log', async (t) => {
      const { privateKey } = await vm.state()
      const [, keyLine = ''] = privateKey.split('\n')
      t.ok(keyLine.length > 40)
      t.ok(vm.log().length > 1000, 'there is a log')
      for (const secret of [joinToken, workloadToken, keyLine]) {
        t.notOk(vm.log().includes(secret), 'a secret is in the log')
      }
    })
  },
)

t.test('the agent is killed after each effect of a join: the next start is the same VM', async (t) => {
  for (const effect of effectNames.filter((name) => /^(key|identity)-stored$/.test(name))) {
    await t.test(effect, async (t) => {
      const controller = await createFakeController()
      const vm = await createTestVm({ controller })
      t.teardown(() => Promise.all([vm.close(), controller.close()]))
      t.equal(await vm.ended(vm.start({ env: { MOORING_TEST_KILL_AFTER: effect } })), 'SIGKILL')
      const { privateKey } = await vm.state()
      vm.start()
      await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
      t.equal((await vm.state()).privateKey, privateKey)
      t.equal(controller.joins.length, 1, 'it joined once')
    })
  }
})

t.test('the answer to a join is lost: the same request comes again, with the same key', async (t) => {
  const controller = await createFakeController()
  let lost = 0
  controller.conduct.join = () => {
    lost += 1
    return lost <= 2 ? 'lose' : 'answer'
  }
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  t.equal(controller.joins.length, 3)
  const keys = new Set(
    controller.joins.map(({ csr }) => new Pkcs10CertificateRequest(csr).publicKey.toString('pem')),
  )
  t.equal(keys.size, 1, 'one key')
})

t.test('a refused join is tried on, slowly, and says why', async (t) => {
  const controller = await createFakeController()
  controller.conduct.join = () => 'TOKEN_EXPIRED'
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  vm.start()
  const identity = await waitFor(
    async () =>
      (await vm.status()).conditions.find(
        ({ type, status }) => type === 'IdentityValid' && status === 'False',
      ),
    { what: 'the refusal to be shown' },
  )
  t.equal(identity.reason, 'TOKEN_EXPIRED')
  controller.conduct.join = () => 'answer'
  await waitFor(() => controller.open.length === 1, { what: 'the operator’s correction to help' })
  t.pass('it joined when the controller was mended')
})

t.test('a clock that is ten minutes off does not keep a VM out, and is said', async (t) => {
  for (const [name, minutes] of Object.entries({ ahead: -10, behind: 10 })) {
    await t.test(name, async (t) => {
      const controller = await createFakeController()
      controller.conduct.now = () => Date.now() + minutes * 60_000
      const vm = await createTestVm({ controller })
      t.teardown(() => Promise.all([vm.close(), controller.close()]))
      vm.start()
      const host = await waitFor(
        async () => (await vm.status()).conditions.find(({ reason }) => reason === 'CLOCK_WRONG'),
        { what: 'the warning', onTimeout: vm.log },
      )
      t.match(host, { type: 'HostFit', status: 'True', message: new RegExp(name) })
      await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
      const doctor = await vm.agent('doctor')
      t.equal(doctor.code, 1)
      t.match(doctor.stdout, /WRONG clock .*\n.*fix: Start time synchronisation/)
    })
  }
})

t.test('join alone prints the id, and a second time the same', async (t) => {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  const first = await vm.agent('join')
  t.equal(first.code, 0, first.stderr)
  t.match(first.stdout, /^vm-[0-9a-f]{20}\n$/)
  t.equal((await vm.agent('join')).stdout, first.stdout)
  t.equal(controller.joins.length, 1)

  controller.conduct.join = () => 'KEY_REVOKED'
  const other = await createTestVm({ controller })
  t.teardown(() => other.close())
  const refused = await other.agent('join')
  t.equal(refused.code, 1)
  t.match(refused.stderr, /KEY_REVOKED[\s\S]*fix:/)
})

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { fetchPinnedAuthority } from '../../../cli/trust.ts'
import { send } from '../../fakes/agent.ts'
import { createTestAuthority, type TestAuthority } from '../../fakes/authority.ts'
import { startController } from '../../fakes/controller.ts'
import { waitFor } from '../../world/waiting.ts'

// Processes and files, on a machine that may be busy.
t.setTimeout(300_000)

const { signal } = new AbortController()

t.test('agents trust a mounted certificate by its root, and are told when that changes', async (t) => {
  const folder = t.testdir()
  const issue = async (by: TestAuthority, trusted: string) => {
    const { key, certificate } = await by.server({ addresses: ['127.0.0.1'] })
    await writeFile(join(folder, 'ca.crt'), trusted)
    await writeFile(join(folder, 'tls.key'), key)
    await writeFile(join(folder, 'tls.crt'), certificate)
  }
  const [first, second] = [await createTestAuthority('first'), await createTestAuthority('second')]
  await issue(first, first.certificate)
  const house = await startController({ config: { certificates: { serverFolder: folder } } })
  t.teardown(() => house.close())
  t.equal(house.announcement.pin, first.pin)
  t.equal(house.announcement.ca, first.certificate)
  await house.applyPool('web')
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const { certificate: cert, controllerCa } = await agent.join()
  t.equal(controllerCa, first.certificate)
  const bundle = (ca: string) =>
    send(house.url, { ca, key: agent.key.privatePem, cert }, 'GET', '/v1/bundle').then(({ status }) => status)
  t.equal(await bundle(controllerCa), 200, 'and its own certificate is of the controller’s authority')

  const both = `${second.certificate}${first.certificate}`
  await issue(second, both)
  const { hostname: host, port } = new URL(house.url)
  const place = { host, port: Number(port), signal }
  await waitFor(() => fetchPinnedAuthority({ ...place, pin: second.pin }).catch(() => undefined), {
    what: 'the other certificate',
    limitMs: 120_000,
  })
  t.equal(await bundle(both), 200)
  t.same((await house.vms()).length, 1)
})

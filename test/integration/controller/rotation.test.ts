import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { fetchPinnedAuthority } from '../../../cli/trust.ts'
import { createAuthorityFolder } from '../../../controller/pki/authority-folder.ts'
import { finishRotation, rotateAuthority } from '../../../controller/pki/rotation.ts'
import { openDatabase } from '../../../controller/store/database.ts'
import { createSqliteStore } from '../../../controller/store/sqlite.ts'
import type { JoinResponse } from '../../../shared/api/join.ts'
import { systemClock } from '../../../shared/clock.ts'
import { silentLog } from '../../../shared/log.ts'
import { createFakeAgent, type FakeAgent, send } from '../../fakes/agent.ts'
import { startController, type TestController } from '../../fakes/controller.ts'

const { signal } = new AbortController()

t.test(
  'the authority is rotated: who trusts the old one or the new one is served until the end',
  async (t) => {
    let house = await startController()
    t.teardown(() => house.close())
    await house.applyPool('web')
    const { token } = await house.token('web', { uses: 10 })
    const old = house.announcement
    const deps = { keep: createAuthorityFolder(join(house.dataDir, 'pki')), clock: systemClock }
    const veteran = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
    const first = await veteran.join()

    const { pin, pinBefore } = await rotateAuthority(deps)
    t.equal(pinBefore, old.pin)
    house = await house.restart()
    t.equal(house.announcement.pin, pin)
    const [newCa = ''] = blocks(house.announcement.ca)
    t.equal(await bundleStatus(house, veteran, first, old.ca), 200, 'an old certificate, and old trust')
    t.equal(await bundleStatus(house, veteran, first, newCa), 200, 'an old certificate, and new trust')
    for (const each of [pin, old.pin]) {
      const ca = await fetchPinnedAuthority({ ...place(house), pin: each, signal })
      t.equal(await bundleStatus(house, veteran, first, ca), 200, 'either pin')
    }
    const again = await createFakeAgent({
      url: house.url,
      ca: old.ca,
      pool: 'web',
      key: veteran.key,
      address: '10.0.0.1',
    })
    const renewed = await again.join({ method: 'renew', vm: first.vm })
    t.ok(
      new X509Certificate(renewed.certificate).verify(new X509Certificate(newCa).publicKey),
      'by the new one',
    )
    t.same(blocks(renewed.controllerCa).length, 2, 'and told to trust both')
    const late = await createFakeAgent({ url: house.url, ca: newCa, pool: 'web', token, address: '10.0.0.2' })
    const joined = await late.join()
    t.equal(await bundleStatus(house, late, joined, newCa), 200)

    // As the command line reads them, beside the controller that runs.
    const database = openDatabase({ file: join(house.dataDir, 'controller.sqlite') })
    const store = createSqliteStore({ database, log: silentLog })
    const records = (await store.list('vm')).map(({ value }) => value)
    await store.close()
    t.same(
      records.map((record) => record.certificateIssuer),
      [pin, pin],
    )
    const behind = records.map((record) => ({ ...record, certificateIssuer: old.pin }))
    await t.rejects(finishRotation(deps, behind), { code: 'TOO_EARLY' })
    await finishRotation(deps, records)
    house = await house.restart()
    t.equal(blocks(house.announcement.ca).length, 1)
    t.equal(await bundleStatus(house, veteran, renewed, renewed.controllerCa), 200, 'who renewed goes on')
    t.equal(await bundleStatus(house, veteran, first, newCa), 401, 'the old certificate is nobody')
    await t.rejects(bundleStatus(house, veteran, renewed, old.ca), 'old trust alone is over')
  },
)

function bundleStatus(
  house: TestController,
  { key }: FakeAgent,
  { certificate: cert }: JoinResponse,
  ca: string,
): Promise<number> {
  const trust = { ca, key: key.privatePem, cert }
  return send(house.url, trust, 'GET', '/v1/bundle').then(({ status }) => status)
}

function place({ url }: TestController) {
  return { host: new URL(url).hostname, port: Number(new URL(url).port) }
}

function blocks(pem: string): readonly string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
}

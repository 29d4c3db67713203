import 'reflect-metadata'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import t, { type Test } from 'tap'
import type { Authority } from '../../../controller/pki/authority.ts'
import { createAuthorityFolder } from '../../../controller/pki/authority-folder.ts'
import { rotateAuthority } from '../../../controller/pki/rotation.ts'
import { systemClock as clock } from '../../../shared/clock.ts'
import type { Pair, TestAuthority } from '../../fakes/authority.ts'
import { folderAuthority } from '../../fakes/folder-authority.ts'
import { createFakeController } from '../../fakes/stand-in-controller.ts'
import { waitFor } from '../../world/waiting.ts'
import { createTestVm } from './vm.ts'

const dayMs = 86_400_000

/** The controller's own authority in the middle of a rotation, and its server as it shows itself then. */
async function rotating(t: Test): Promise<{ authority: Authority; server: Pair; issuers: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mooring-pki-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await folderAuthority({ folder, clock })
  await rotateAuthority({ keep: createAuthorityFolder(folder), clock })
  const authority = await folderAuthority({ folder, clock })
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const chain = await authority.signServer({
    ...{ names: [], addresses: ['127.0.0.1'], notAfter: clock.now() + dayMs },
    spki: publicKey.export({ type: 'spki', format: 'der' }),
  })
  const [certificate = '', ...issuers] = blocks(chain)
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return { authority, server: { key, certificate }, issuers: issuers.join('') }
}

/** The same authority for the stand-in: it signs for agents, and tells them to trust both. */
function forStandIn({ trusted, pin, signAgent }: Authority): TestAuthority {
  return {
    ...{ certificate: trusted, pin },
    async server() {
      throw new Error('the server has its certificate already')
    },
    async client(csr, uri) {
      const spki = Buffer.from(new Pkcs10CertificateRequest(csr).publicKey.rawData)
      return signAgent({ vm: 'vm', uri, spki, notAfter: clock.now() + dayMs })
    },
  }
}

for (const which of ['the new pin', 'the old pin'] as const)
  t.test(`while the authority is rotated an agent that knows ${which} alone joins, and stays`, async (t) => {
    const { authority, server, issuers } = await rotating(t)
    const controller = await createFakeController({ authority: forStandIn(authority), server, issuers })
    const shown = blocks(issuers).map((pem) => new X509Certificate(pem))
    t.notOk(
      shown.some((one) => one.subject === one.issuer && one.verify(one.publicKey) && isNew(one, authority)),
      'the new one is shown by the signature of the old one, not by its own',
    )
    const pin = which === 'the new pin' ? authority.pin : (authority.pinBefore ?? '')
    const vm = await createTestVm({ controller, trust: { pin } })
    t.teardown(() => Promise.all([vm.close(), controller.close()]))
    const agent = vm.start()
    await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
    t.equal(controller.joins.length, 1, 'at the first try')

    // The next process knows what the controller handed out, and the pin.
    agent.kill('SIGKILL')
    await vm.ended(agent)
    await waitFor(() => controller.open.length === 0, { what: 'its stream to end' })
    vm.start()
    await waitFor(() => controller.open.length === 1, { what: 'another stream', onTimeout: vm.log })
    t.equal(controller.joins.length, 1)
    t.notMatch(vm.log(), /CONTROLLER_UNTRUSTED/)
  })

/** Whether a certificate is the one by which the authority in force vouches for itself. */
function isNew(certificate: X509Certificate, { trusted }: Authority): boolean {
  return certificate.toString() === blocks(trusted)[0]
}

function blocks(pem: string): readonly string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
}

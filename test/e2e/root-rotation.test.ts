import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { adminGet } from '../world/envoy-admin.ts'
import { failuresOf } from '../world/load.ts'
import type { Member } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

const limitMs = 240_000
const main = resolve(import.meta.dirname, '../../controller/main.ts')

t.test('the root of the mesh is changed under load: no request fails', async (t) => {
  const world = await createWorld({ name: 'root', controller: { certificates: { workloadTtlSeconds: 60 } } })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const members = [caller, await world.boot('a', 'servers'), await world.boot('b', 'servers')]
  const load = world.load(caller, { options: { 'download-seconds': 8, 'tcp-reopen-ms': 10_000 } })
  await load.firstOk
  const sidecars = await Promise.all(members.map((member) => member.sidecar()))
  const [old = ''] = await rootsOf(caller)
  t.ok(old, 'there is a root')

  t.match(await rotate(world), { code: 0, stdout: /stage trust/ })
  const tooEarly = await rotate(world)
  t.match(tooEarly, { code: 1, stderr: /3 VMs do not trust both/ }, 'VMs have not heard of it yet')
  // It follows by itself, and says no until every VM trusts both.
  await waitFor(async () => /stage sign/.test((await rotate(world)).stdout), {
    what: 'all to trust both roots',
    limitMs,
    everyMs: 2_000,
  })
  for (const member of members) {
    t.equal((await rootsOf(member)).length, 2, `${member.name} trusts both roots`)
  }
  t.match(
    await rotate(world, '--finish'),
    { code: 1, stderr: /(does not sign|may be valid)/ },
    'old certificates are valid still',
  )
  await waitFor(async () => /stage done/.test((await rotate(world, '--finish')).stdout), {
    what: 'the last certificate of the old root to end',
    limitMs,
    everyMs: 2_000,
  })
  await waitFor(async () => (await Promise.all(members.map(rootsOf))).every((roots) => roots.length === 1), {
    what: 'all to trust the new root alone',
    limitMs,
    everyMs: 1_000,
  })
  for (const member of members)
    t.notOk((await rootsOf(member)).includes(old), `${member.name} has a new root`)

  const count = load.progress().requests
  await waitFor(() => load.progress().requests > count + 300, { what: 'load under the new root' })
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.same(await Promise.all(members.map((member) => member.sidecar())), sidecars, 'no sidecar was restarted')
  for (const member of members) {
    t.same(await issuersOf(member), await nameOfRoot(world), `${member.name} shows a chain to the new root`)
  }
  t.comment(sceneLine('root-rotated', summary))
})

function rotate(world: World, ...more: string[]) {
  const config = join(world.network.hostDir, 'controller.yaml')
  return world.network.host.exec(process.execPath, [main, 'rotate-root', '--config', config, ...more])
}

/** Serial numbers of the roots that Envoy trusts for its peers. */
async function rootsOf(member: Member): Promise<readonly string[]> {
  const { certificates } = JSON.parse(await adminGet(member.vm, '/certs')) as {
    certificates: { ca_cert?: { serial_number: string }[] }[]
  }
  return [...new Set(certificates.flatMap(({ ca_cert = [] }) => ca_cert.map((one) => one.serial_number)))]
}

/** Who signed the last certificate of the chains that Envoy shows. */
async function issuersOf(member: Member): Promise<readonly string[]> {
  const dump = JSON.parse(await adminGet(member.vm, '/config_dump?resource=dynamic_active_secrets')) as {
    configs: { secret?: { tls_certificate?: { certificate_chain?: { inline_bytes?: string } } } }[]
  }
  const issuers = dump.configs.flatMap(({ secret }) => {
    const bytes = secret?.tls_certificate?.certificate_chain?.inline_bytes
    if (bytes === undefined) return []
    const chain = Buffer.from(bytes, 'base64').toString()
    const last = chain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)?.at(-1)
    return last === undefined ? [] : [new X509Certificate(last).issuer]
  })
  return [...new Set(issuers)]
}

async function nameOfRoot({ controller }: World): Promise<readonly string[]> {
  const pem = await readFile(join(controller.dataDir, 'mesh/ca/root/root-cert.pem'))
  return [new X509Certificate(pem).subject]
}

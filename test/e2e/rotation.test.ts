import t from 'tap'
import { adminGet } from '../world/envoy-admin.ts'
import { failuresOf } from '../world/load.ts'
import type { Member } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld } from '../world/world.ts'

t.test('certificates of the mesh are renewed on every VM under load: no request fails', async (t) => {
  // Certificates live for an hour; this makes pilot-agent renew them when 18 seconds of it are over.
  const world = await createWorld({
    name: 'rotation',
    controller: {
      sidecarEnvironment: { SECRET_GRACE_PERIOD_RATIO: '0.995', SECRET_GRACE_PERIOD_RATIO_JITTER: '0' },
    },
  })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const members = [caller, await world.boot('a', 'servers'), await world.boot('b', 'servers')]
  const load = world.load(caller, { options: { 'download-seconds': 8, 'tcp-reopen-ms': 10_000 } })
  await load.firstOk

  const first = await Promise.all(members.map(serial))
  const sidecars = await Promise.all(members.map((member) => member.sidecar()))
  t.ok(first.every(Boolean), 'each has a certificate')
  t.equal(new Set(first).size, members.length, 'of its own')
  // Twice, so that what was renewed is renewed too.
  let known = first
  for (const time of ['once', 'twice']) {
    known = await waitFor(
      async () => {
        const now = await Promise.all(members.map(serial))
        return now.every((each, i) => each !== known[i]) && now
      },
      { what: `all certificates to be renewed ${time}`, limitMs: 120_000, everyMs: 500 },
    )
  }
  const count = load.progress().requests
  await waitFor(() => load.progress().requests > count + 300, { what: 'load with the new certificates' })
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.same(await Promise.all(members.map((member) => member.sidecar())), sidecars, 'nothing was restarted')
  t.comment(sceneLine('certificates-renewed', summary))
})

/** Serial number of the workload's certificate that the sidecar uses now. */
async function serial(member: Member): Promise<string | undefined> {
  const { certificates } = JSON.parse(await adminGet(member.vm, '/certs')) as {
    certificates: { cert_chain?: { serial_number: string; subject_alt_names?: { uri?: string }[] }[] }[]
  }
  return certificates
    .flatMap(({ cert_chain = [] }) => cert_chain)
    .find(({ subject_alt_names = [] }) => subject_alt_names.some(({ uri }) => uri?.startsWith('spiffe://')))
    ?.serial_number
}

import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import { adminGet } from '../world/envoy-admin.ts'
import { failuresOf } from '../world/load.ts'
import { type Member, tail } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

const lifeSeconds = 60
const kinds = ['agent certificate', 'workload token', 'workload certificate'] as const

/** What proves who somebody is, for a while. */
interface Credential {
  /** What tells it from the one before. */
  readonly id: string
  /** Unix milliseconds. */
  readonly until: number
}

type Kind = (typeof kinds)[number]
type Credentials = Record<Kind, Credential>

t.test('what proves a VM is renewed in time under load, and what was before is worth nothing', async (t) => {
  const world = await createWorld({
    name: 'renewal',
    controller: {
      certificates: {
        agentTtlSeconds: lifeSeconds,
        tokenTtlSeconds: lifeSeconds,
        workloadTtlSeconds: lifeSeconds,
      },
    },
  })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const members = [caller, await world.boot('a', 'servers'), await world.boot('b', 'servers')]
  const sidecars = await Promise.all(members.map((member) => member.sidecar()))
  const load = world.load(caller, { options: { 'download-seconds': 8, 'tcp-reopen-ms': 10_000 } })
  await load.firstOk

  const old = await identityOf(members[1] as Member)
  const watched = members.map((member) => ({ member, seen: nothing() }))
  const look = async () => {
    for (const { member, seen } of watched) {
      const now = await credentialsOf(member)
      for (const kind of kinds) if (seen[kind].at(-1)?.id !== now[kind].id) seen[kind].push(now[kind])
    }
  }
  await waitFor(
    async () => {
      await look()
      // The first ones have ended, and what came after them has been renewed itself.
      return watched.every(({ seen }) =>
        kinds.every((kind) => seen[kind].length > 2 && (seen[kind][0]?.until ?? Infinity) < Date.now()),
      )
    },
    {
      what: 'everything to be renewed twice, and the first ones to end',
      limitMs: 8 * lifeSeconds * 1000,
      everyMs: 500,
      onTimeout: async () =>
        `${JSON.stringify(watched.map(({ seen }) => seen))}\n${await tail(caller.agentLog)}`,
    },
  )
  const count = load.progress().requests
  await waitFor(() => load.progress().requests > count + 300, { what: 'load with the newest' })
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.comment(sceneLine('renewals', summary))

  await t.test('in time', async (t) => {
    for (const { member, seen } of watched) {
      for (const kind of kinds) {
        const ends = seen[kind].map(({ until }) => until)
        // All live equally long: between the ends of two lies what lay between their begins.
        const ages = ends.slice(1).map((end, n) => (end - (ends[n] ?? 0)) / 1000)
        t.ok(
          ages.every((age) => age > 0 && age < (lifeSeconds * 2) / 3),
          `${kind} of ${member.name} renewed at the age of ${ages.map((age) => Math.round(age)).join(', ')} s`,
        )
      }
    }
  })

  await t.test('and the old ones are not used any more', async (t) => {
    for (const member of members) {
      const { phase, connected, conditions } = await member.view()
      t.equal(phase, 'ready', member.name)
      t.ok(connected)
      t.ok(conditions.every(({ status }) => status === 'True'))
    }
    t.same(await Promise.all(members.map((member) => member.sidecar())), sidecars, 'nothing was restarted')
    const fresh = await identityOf(members[1] as Member)
    t.equal(await bundleStatus(world, fresh), 200, 'the newest certificate is taken')
    t.not(await bundleStatus(world, old), 200, 'the first one is not')
  })
})

function nothing(): Record<Kind, Credential[]> {
  return { 'agent certificate': [], 'workload token': [], 'workload certificate': [] }
}

interface AgentIdentity {
  readonly cert: string
  readonly key: string
}

interface StateFile {
  readonly privateKey: string
  readonly identity: { readonly certificate: string; readonly certificateUntil: number }
}

async function stateOf(member: Member): Promise<StateFile> {
  return JSON.parse(await readFile(join(member.vm.root, 'var/lib/mooring/state.json'), 'utf8')) as StateFile
}

async function identityOf(member: Member): Promise<AgentIdentity> {
  const { identity, privateKey } = await stateOf(member)
  return { cert: identity.certificate, key: privateKey }
}

/** As the agent has them in its state, and the sidecar in its files and in Envoy. */
async function credentialsOf(member: Member): Promise<Credentials> {
  const { identity } = await stateOf(member)
  const token = await readFile(join(member.vm.root, tokenFile), 'utf8')
  const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    exp: number
  }
  const { certificates } = JSON.parse(await adminGet(member.vm, '/certs')) as EnvoyCertificates
  const served = certificates
    .flatMap(({ cert_chain = [] }) => cert_chain)
    .filter(({ subject_alt_names = [] }) => subject_alt_names.some(({ uri }) => uri?.startsWith('spiffe://')))
  const [own] = served
  if (own === undefined) throw new Error(`${member.name} has no certificate of the mesh`)
  return {
    'agent certificate': { id: identity.certificate, until: identity.certificateUntil },
    'workload token': { id: token, until: exp * 1000 },
    'workload certificate': { id: own.serial_number, until: Date.parse(own.expiration_time) },
  }
}

const tokenFile = 'var/lib/mooring/sidecar/run/var/run/secrets/tokens/istio-token'

interface EnvoyCertificates {
  readonly certificates: readonly {
    readonly cert_chain?: readonly {
      readonly serial_number: string
      readonly expiration_time: string
      readonly subject_alt_names?: readonly { readonly uri?: string }[]
    }[]
  }[]
}

/** What the controller answers to whoever asks with this certificate; 0 when it refuses the connection. */
function bundleStatus({ controller }: World, identity: AgentIdentity): Promise<number> {
  return new Promise((resolve) => {
    const url = new URL('/v1/bundle', controller.operatorUrl)
    const asked = request(url, { ...identity, ca: controller.ca, agent: false }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    asked.once('error', () => resolve(0))
    asked.end()
  })
}

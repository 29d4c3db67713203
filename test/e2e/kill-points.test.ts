import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type EffectName, effectNames } from '../../controller/effects.ts'
import { entriesIn } from '../world/entries.ts'
import { type Member, tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, serverPool, type World } from '../world/world.ts'

/** What makes the controller do its effect, and how everything has to be afterwards. */
interface Scene {
  /** Runs while the controller lives, before it is started with the kill point. */
  readonly prepare?: () => Promise<unknown>
  readonly provoke: () => Promise<unknown>
  readonly outcome: (t: Test) => Promise<unknown>
}

/** One machine of each story; they boot together. */
interface Cast {
  readonly joiners: Readonly<Record<string, Member>>
  readonly drained: Readonly<Record<string, Member>>
  readonly replaced: Member
  readonly removed: Member
}

const joinEffects = [
  'admission-committed',
  'entry-applied',
  'token-minted',
  'certificate-signed',
  'vm-written',
] as const satisfies readonly EffectName[]
const drainEffects = ['entry-closed', 'drain-sent', 'entry-removed'] as const satisfies readonly EffectName[]

t.test('the controller is killed after each of its effects: all ends as if it had lived', async (t) => {
  const world = await createWorld({ name: 'points' })
  t.teardown(() => world.close())
  const scenes = scenesOf(world, await castOf(world))
  for (const effect of effectNames) {
    await t.test(effect, async (t) => {
      const { prepare, provoke, outcome } = scenes[effect]
      await prepare?.()
      t.equal(await killAfter(world, effect, provoke), 'SIGKILL', 'it died where it should')
      await world.controller.start()
      await outcome(t)
      await settled(world)
    })
  }
})

/** In the order of the list of effects: the removed VM comes back when its denial is to be lifted. */
function scenesOf(world: World, cast: Cast): Record<EffectName, Scene> {
  const { operator } = world
  const joins = (name: (typeof joinEffects)[number]): Scene => ({
    provoke: () => member(cast.joiners, name).startAgent(),
    outcome: (t) => isReadyOnce(t, world, member(cast.joiners, name)),
  })
  const drains = (name: (typeof drainEffects)[number]): Scene => {
    const vm = member(cast.drained, name)
    return {
      provoke: async () => operator.drain((await vm.view()).id),
      outcome: () => vm.waitPhase('left', 120_000),
    }
  }
  const extra = { ...serverPool, service: { host: 'extra.mooring.internal', ports: [...ports()] } }
  let removedId = ''
  return {
    'admission-committed': joins('admission-committed'),
    'stale-entry-removed': {
      // At the start after this death both are at work: the newcomer, and the one that lost its address.
      async prepare() {
        await killAfter(world, 'admission-committed', () => install(world, cast.replaced))
      },
      provoke: async () => {},
      outcome: (t) => isReadyOnce(t, world, cast.replaced),
    },
    'entry-applied': joins('entry-applied'),
    'token-minted': joins('token-minted'),
    'certificate-signed': joins('certificate-signed'),
    'vm-written': joins('vm-written'),
    'entry-closed': drains('entry-closed'),
    'entry-removed': drains('entry-removed'),
    'drain-sent': drains('drain-sent'),
    'eviction-applied': {
      async provoke() {
        removedId = (await cast.removed.view()).id
        await operator.remove(removedId, { now: true })
      },
      async outcome() {
        await waitFor(async () => (await operator.vm(removedId)).phase === 'left', { what: 'it to be gone' })
        await denied(world, [removedId])
      },
    },
    'eviction-lifted': {
      provoke: () => install(world, cast.removed),
      async outcome(t) {
        await isReadyOnce(t, world, cast.removed)
        t.not((await cast.removed.view()).id, removedId, 'another VM at the same address')
        await denied(world, [])
      },
    },
    'pool-objects-applied': {
      provoke: () => operator.applyPool('extra', extra),
      outcome: async (t) => {
        await waitFor(async () => (await objectsOf(world, 'extra')).includes('Sidecar.default.extra.yaml'), {
          what: 'the objects of the pool',
        })
        t.match(await operator.pool('extra'), { name: 'extra' })
      },
    },
    'pool-objects-removed': {
      provoke: () => operator.call('DELETE', '/v1/pools/extra'),
      outcome: async (t) => {
        // Then istiod's folder is what it reads again.
        await settled(world)
        await waitFor(async () => (await objectsOf(world, 'extra')).length === 0, {
          what: 'the objects of the pool to be gone',
        })
        await t.rejects(operator.pool('extra'), { message: /HTTP 404/ })
      },
    },
  }
}

async function castOf(world: World): Promise<Cast> {
  // Fills the image, so that the boots below need no download.
  const replaced = await world.boot('replaced', 'servers')
  const booted = (names: readonly string[]) =>
    Promise.all(names.map(async (name) => [name, await world.boot(`vm-${name}`, 'servers')] as const))
  const prepared = (names: readonly string[]) =>
    Promise.all(
      names.map(async (name) => {
        const vm = await world.prepare(`vm-${name}`, 'servers')
        await vm.startApp()
        return [name, vm] as const
      }),
    )
  const [drained, joiners, removed] = await Promise.all([
    booted(drainEffects),
    prepared(joinEffects),
    world.boot('removed', 'servers'),
  ])
  return { replaced, removed, drained: Object.fromEntries(drained), joiners: Object.fromEntries(joiners) }
}

/** Starts the controller with a kill point, does what leads to it, and tells what ended the controller. */
async function killAfter(world: World, effect: EffectName, provoke: () => Promise<unknown>) {
  const { controller } = world
  await controller.stop()
  await controller.start({ env: { MOORING_TEST_KILL_AFTER: effect } })
  let end: NodeJS.Signals | null | undefined
  void controller.exited().then(({ signal }) => {
    end = signal
  })
  // Its answer dies with the controller.
  const provoked = provoke().catch(() => {})
  await waitFor(() => end !== undefined, {
    what: `the controller to die after ${effect}`,
    limitMs: 120_000,
    onTimeout: () => tail(controller.logFile),
  })
  await provoked
  return end
}

/** The machine loses its power and comes back with a new disk: another VM at the same address. */
async function install(world: World, member: Member): Promise<void> {
  await member.vm.cutPower()
  await member.vm.linkUp()
  await member.vm.exec('iptables', ['-t', 'nat', '-F'])
  const state = join(member.vm.root, 'var/lib/mooring')
  for (const name of await readdir(state)) {
    if (name !== 'sidecar') await rm(join(state, name), { recursive: true })
  }
  const { token } = await world.operator.createToken('servers')
  await writeFile(join(member.vm.root, 'etc/mooring/token'), token, { mode: 0o600 })
  await member.startApp()
  await member.startAgent()
}

async function isReadyOnce(t: Test, world: World, member: Member): Promise<void> {
  const { id } = await member.waitPhase('ready', 120_000)
  const here = (await world.operator.vms()).filter(({ address, phase }) => {
    return address === member.vm.address && phase !== 'left'
  })
  t.same(
    here.map((vm) => vm.id),
    [id],
    'one VM for one machine',
  )
}

/** Entries as istiod reads them: exactly one for each VM that should have one. */
async function settled(world: World): Promise<void> {
  await waitFor(
    async () => {
      const wanted = (await world.operator.vms()).filter(({ phase }) => phase !== 'left').map(({ id }) => id)
      return JSON.stringify(await entriesIn(world.controller.dataDir)) === JSON.stringify(wanted.sort())
    },
    { what: 'exactly one entry for each VM that has one', limitMs: 60_000 },
  )
}

/** Names of the files that istiod reads, and that are named after `name`. */
async function objectsOf(world: World, name: string): Promise<readonly string[]> {
  const files = await readdir(world.controller.dataDir, { recursive: true })
  return files
    .filter((file) => /config\/.*\.yaml$/.test(file))
    .map((file) => file.split('/').at(-1) ?? '')
    .filter((file) => file.includes(name))
}

/** The addresses of exactly these VMs are denied; while istiod starts, nothing lies in its folder. */
async function denied(world: World, ids: readonly string[]): Promise<void> {
  await waitFor(
    async () => {
      const files = await objectsOf(world, 'evicted-')
      return files.length === ids.length && ids.every((id) => files.some((file) => file.includes(id)))
    },
    { what: `the denial of ${ids.join(', ') || 'nobody'}`, limitMs: 60_000 },
  )
}

function member(of: Readonly<Record<string, Member>>, name: string): Member {
  const found = of[name]
  if (found === undefined) throw new Error(`no machine for ${name}`)
  return found
}

function ports() {
  return serverPool.service?.ports ?? []
}

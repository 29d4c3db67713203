import t from 'tap'
import {
  type EffectName as ControllerEffect,
  effectNames as controllerEffects,
} from '../../controller/effects.ts'
import { entriesIn } from '../world/entries.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

/** What has to happen so that each effect of the controller does; every effect needs one. */
const controllerScenes: Record<ControllerEffect, 'join' | 'drain' | 'replace' | 'remove' | 'pool'> = {
  'admission-committed': 'join',
  'stale-entry-removed': 'replace',
  'entry-applied': 'join',
  'token-minted': 'join',
  'certificate-signed': 'join',
  'vm-written': 'join',
  'entry-closed': 'drain',
  'entry-removed': 'drain',
  'drain-sent': 'drain',
  'eviction-applied': 'remove',
  'eviction-lifted': 'replace',
  'pool-objects-applied': 'pool',
  'pool-objects-removed': 'pool',
}

t.test(
  'the controller is killed after each effect of a join: the VM gets ready, nothing is left over',
  async (t) => {
    const world = await createWorld({ name: 'points' })
    t.teardown(() => world.close())
    // Fills the image, so that the boots below need no download.
    const image = await world.boot('image', 'servers')
    await image.shutDown()

    for (const effect of controllerEffects.filter((name) => controllerScenes[name] === 'join')) {
      await t.test(effect, async (t) => {
        const member = await world.prepare(`vm-${effect}`, 'servers')
        await member.startApp()
        await world.controller.stop()
        await world.controller.start({ env: { MOORING_TEST_KILL_AFTER: effect } })
        await member.startAgent()
        const { signal } = await world.controller.exited()
        t.equal(signal, 'SIGKILL', 'it died where it should')
        await world.controller.start()
        const view = await member.waitPhase('ready')
        const same = (await world.operator.vms()).filter((vm) => vm.address === member.vm.address)
        t.equal(same.length, 1, 'one VM for one machine')
        await settled(world)
        t.ok((await entriesIn(world.controller.dataDir)).includes(view.id), 'its entry is there')
        t.equal(await member.shutDown(), 0)
        await settled(world)
      })
    }
  },
)

/** Entries as istiod reads them: only those of VMs that should have one. */
async function settled(world: World): Promise<void> {
  await waitFor(
    async () => {
      const wanted = (await world.operator.vms()).filter((vm) => vm.phase !== 'left').map((vm) => vm.id)
      return JSON.stringify(await entriesIn(world.controller.dataDir)) === JSON.stringify(wanted.sort())
    },
    { what: 'exactly one entry for each VM that has one' },
  )
}

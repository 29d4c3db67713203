import type { Test } from 'tap'
import type { Bundle } from '../../../shared/api/bundle.ts'
import { createNetwork, type Network } from '../../testbed/network/network.ts'
import type { Vm } from '../../testbed/network/vm.ts'
import { ensureParts } from '../../testbed/parts/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { waitFor } from '../../world/waiting.ts'
import { type MeshHost, startMeshHost } from './mesh-host.ts'
import { bundleOf, entryOf, type PoolName, pools, shopObjects } from './shop.ts'
import { installSidecar, type RunningSidecar, startSidecar } from './sidecar.ts'

/** A mesh on a network of its own, and VMs in it with nothing of the agent's but the sidecar. */
export interface Scene {
  readonly network: Network
  readonly mesh: MeshHost
  /** Folder of the sidecar's programs. */
  readonly version: string
  bundle(vm: Vm, pool: PoolName): Promise<Bundle>
  /** A VM with sidecar and capture, and with the application when it serves; its entry is open. */
  addMember(name: string, pool: PoolName, bind?: string): Promise<{ vm: Vm; sidecar: RunningSidecar }>
}

const application = new URL('../../testbed/apps/app-server.ts', import.meta.url).pathname

/** Makes a scene that ends with the test. */
export async function createScene(t: Test, name: string): Promise<Scene> {
  const parts = await ensureParts({ progress: silentProgress })
  const network = await createNetwork({ name })
  t.teardown(() => network.close())
  const version = await installSidecar(network, parts)
  const mesh = await startMeshHost(network, parts.istiod)
  for (const { namespace, serviceAccount } of Object.values(pools)) {
    await mesh.declare(`${namespace}/${serviceAccount}`)
  }
  await mesh.apply(...shopObjects)
  await mesh.start()

  const bundle = async (vm: Vm, pool: PoolName) => {
    const { namespace, serviceAccount } = pools[pool]
    return bundleOf(vm, pool, await mesh.facts(), await mesh.mint(namespace, serviceAccount))
  }

  return {
    network,
    mesh,
    version,
    bundle,
    async addMember(name, pool, bind = '127.0.0.1') {
      const vm = await network.addVm(name)
      await mesh.apply(entryOf(vm, 'open', pool))
      if (pool === 'web') await startApplication(vm, bind)
      const sidecar = await startSidecar(vm, await bundle(vm, pool), version)
      return { vm, sidecar }
    },
  }
}

async function startApplication(vm: Vm, bind: string): Promise<void> {
  vm.spawn(process.execPath, [application, '--name', vm.name, '--bind', bind, '--http2', 'off'], {
    stdio: 'ignore',
  })
  const url = `http://${bind === '0.0.0.0' ? '127.0.0.1' : bind}:8080/`
  const program = `fetch('${url}').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`
  await waitFor(async () => (await vm.exec(process.execPath, ['-e', program])).code === 0, {
    what: `the application on ${vm.name}`,
  })
}

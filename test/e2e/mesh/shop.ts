import { bundle } from '../../../controller/mesh/bundle.ts'
import type { IstioObject, MeshFacts } from '../../../controller/mesh/mesh.ts'
import {
  type EndpointHealth,
  meshObjects,
  poolObjects,
  workloadEntry,
} from '../../../controller/mesh/objects.ts'
import type { Bundle } from '../../../shared/api/bundle.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { Secret } from '../../../shared/secret.ts'
import { poolOf, vmOf } from '../../unit/controller/mesh/sample.ts'

/** A pool that serves the testbed's application, and one that only calls it. */
export const pools = {
  web: {
    namespace: 'shop',
    serviceAccount: 'web',
    service: {
      host: 'web.shop.internal',
      ports: [
        { name: 'http', number: 80, target: 8080, protocol: 'HTTP' },
        { name: 'tcp', number: 82, target: 8082, protocol: 'TCP' },
      ],
    },
    join: { methods: ['token'], cidrs: ['10.0.0.0/8'] },
  },
  client: {
    namespace: 'shop',
    serviceAccount: 'client',
    join: { methods: ['token'], cidrs: ['10.0.0.0/8'] },
  },
} satisfies Record<string, PoolSpec>

export type PoolName = keyof typeof pools

export const virtualAddress = '240.240.0.9'
export const webUrl = 'http://web.shop.internal/'

/** What the mesh and its pools need once. */
export const shopObjects: readonly IstioObject[] = [
  ...meshObjects(),
  ...poolObjects('web', poolOf(pools.web), { address: virtualAddress }),
  ...poolObjects('client', poolOf(pools.client), { address: '' }),
]

export function entryOf(
  vm: { readonly name: string; readonly address: string },
  health: EndpointHealth,
  poolName: PoolName = 'web',
): IstioObject {
  const record = vmOf({ address: vm.address, pool: poolName })
  return workloadEntry({ vm: vm.name, record, poolName, pool: poolOf(pools[poolName]), health })
}

export function bundleOf(
  vm: { readonly name: string; readonly address: string },
  poolName: PoolName,
  facts: MeshFacts,
  token: { readonly token: string; readonly expiresAt: number },
): Bundle {
  return bundle({
    vm: vm.name,
    record: vmOf({ address: vm.address, pool: poolName }),
    poolName,
    pool: poolOf(pools[poolName]),
    facts,
    token: { token: new Secret(token.token), expiresAt: token.expiresAt },
  })
}

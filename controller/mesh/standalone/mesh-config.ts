import { MooringError } from '../../../shared/errors.ts'

export type ConfigTree = Readonly<Record<string, unknown>>

/** What the mesh leans on; an override of these would break it quietly. */
const fixed = ['trustDomain', 'configSources', 'rootNamespace']

/** istiod's MeshConfig (istio.io/api mesh/v1alpha1): ours, with the operator's overrides merged in. */
export function meshConfig(input: {
  readonly trustDomain: string
  readonly rootNamespace: string
  /** Folder of the objects. */
  readonly folder: string
  readonly overrides: ConfigTree
}): ConfigTree {
  for (const key of fixed) {
    if (Object.hasOwn(input.overrides, key)) {
      throw new MooringError('CONFIG_INVALID', { detail: `istiod.meshConfig.${key} cannot be set` })
    }
  }
  return merge(
    {
      trustDomain: input.trustDomain,
      rootNamespace: input.rootNamespace,
      configSources: [{ address: `fs://${input.folder}` }],
      // Unknown destinations stay reachable: a VM that joins must not lose what it talked to before.
      outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
      accessLogFile: '',
    },
    input.overrides,
  )
}

/** The ProxyConfig that every bundle carries; addresses and paths are the agent's. */
export function proxyConfig(overrides: ConfigTree): ConfigTree {
  return merge({ drainDuration: '45s', statusPort: 15020, proxyAdminPort: 15000 }, overrides)
}

/** `overrides` over `base`: objects are merged, everything else is replaced. */
export function merge(base: ConfigTree, overrides: ConfigTree): ConfigTree {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(overrides)) {
    const under = merged[key]
    merged[key] = isTree(under) && isTree(value) ? merge(under, value) : value
  }
  return merged
}

function isTree(value: unknown): value is ConfigTree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

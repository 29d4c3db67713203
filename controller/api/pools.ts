import { type Static, Type } from 'typebox'
import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import { closed } from '../../shared/api/closed.ts'
import { type PoolCondition, PoolSpec, PoolView } from '../../shared/api/operator.ts'
import { limits } from '../../shared/api/wire.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { Audit } from '../audit.ts'
import { covers } from '../auth/policy.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { rolloutProgress } from '../fleet/rollout/progress.ts'
import type { Serial } from '../join/serial.ts'
import type { ResourceStore, Stored } from '../store/resource-store.ts'
import { type App, audited, NameParams, NoContent, operator, principalOf } from './app.ts'
import { checkPoolChange, type PoolRules } from './pool-rules.ts'

export interface PoolRoutesDeps {
  readonly store: ResourceStore
  readonly fleet: Pick<Fleet, 'enqueuePool'>
  /** Shared with joins: a pool must not change between a join's look at it and its write. */
  readonly serial: Serial
  /** The sidecars that this controller hands out. */
  readonly artifacts: () => readonly SidecarArtifact[]
  readonly rules: PoolRules
  /** What the cluster says of a pool; absent where there is none. */
  readonly conditions?: ((name: string) => readonly PoolCondition[]) | undefined
  readonly audit: Audit
  readonly clock: Clock
}

/** VMs that are alike. */
export function poolRoutes(app: App, deps: PoolRoutesDeps): void {
  const { store, fleet, serial, rules, audit, clock, artifacts } = deps
  app.route({
    method: 'GET',
    url: '/v1/pools',
    config: { access: operator('viewer', 'listed') },
    schema: { summary: 'All pools', tags: ['pools'], response: { 200: Type.Array(PoolView) } },
    handler: async (request) => {
      const principal = principalOf(request)
      const vms = await store.list('vm')
      return (await store.list('pool'))
        .filter((pool) => covers(principal, pool.name))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map((pool) => shown(pool, vms))
    },
  })
  app.route({
    method: 'GET',
    url: '/v1/pools/:name',
    config: { access: operator('viewer', 'path') },
    schema: { summary: 'One pool', tags: ['pools'], params: NameParams, response: { 200: PoolView } },
    handler: (request) => show(request.params.name),
  })
  app.route({
    method: 'PUT',
    url: '/v1/pools/:name',
    bodyLimit: limits.operator,
    config: { access: operator('admin', 'path') },
    schema: {
      summary: 'Makes a pool, or makes it as given',
      tags: ['pools'],
      params: NameParams,
      body: closed(PoolSpec),
      response: { 200: PoolView },
    },
    handler: (request) => {
      const { name } = request.params
      const what = { action: 'pool.apply', target: `pool/${name}` }
      return audited(audit, request, what, async () => {
        await serial(() => apply(name, request.body))
        fleet.enqueuePool(name)
        return show(name)
      })
    },
  })
  app.route({
    method: 'DELETE',
    url: '/v1/pools/:name',
    config: { access: operator('admin', 'path') },
    schema: {
      summary: 'Deletes a pool without VMs',
      tags: ['pools'],
      params: NameParams,
      response: { 204: NoContent },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      await audited(audit, request, { action: 'pool.delete', target: `pool/${name}` }, async () => {
        await serial(() => remove(name))
        fleet.enqueuePool(name)
      })
      return reply.code(204).send(null)
    },
  })

  async function show(name: string): Promise<Static<typeof PoolView>> {
    const pool = await store.get('pool', name)
    if (pool === undefined) throw new MooringError('NOT_FOUND', { detail: `pool ${name}` })
    return shown(pool, await store.list('vm'))
  }

  function shown(pool: Stored<'pool'>, vms: readonly Stored<'vm'>[]): Static<typeof PoolView> {
    const conditions = deps.conditions?.(pool.name)
    return { ...view(pool, vms, artifacts()), ...(conditions && { conditions: [...conditions] }) }
  }

  async function membersOf(name: string): Promise<number> {
    const vms = await store.list('vm')
    return vms.filter(({ value }) => value.pool === name && hasEntry(value.phase)).length
  }

  async function apply(name: string, spec: PoolSpec): Promise<void> {
    const pools = new Map((await store.list('pool')).map((pool) => [pool.name, pool]))
    const old = pools.get(name)
    rules(name, spec, new Map([...pools].map(([other, pool]) => [other, pool.value.spec])))
    if (old !== undefined && (await membersOf(name)) > 0) checkPoolChange(old.value.spec, spec)
    const now = clock.now()
    const value = { spec, createdAt: old?.value.createdAt ?? now, updatedAt: now }
    await store.commit([{ put: 'pool', name, value, ...(old && { version: old.version }) }])
  }

  async function remove(name: string): Promise<void> {
    const old = await store.get('pool', name)
    if (old === undefined) throw new MooringError('NOT_FOUND', { detail: `pool ${name}` })
    const members = await membersOf(name)
    if (members > 0) throw new MooringError('POOL_HAS_VMS', { detail: `${members} in ${name}` })
    const tokens = (await store.list('token')).filter(({ value }) => value.pool === name)
    await store.commit([
      ...tokens.map((token) => ({ remove: 'token', name: token.name, version: token.version }) as const),
      { remove: 'pool', name, version: old.version },
    ])
  }
}

function view(
  { name, value }: Stored<'pool'>,
  vms: readonly Stored<'vm'>[],
  artifacts: readonly SidecarArtifact[],
): Static<typeof PoolView> {
  const { spec, createdAt, updatedAt } = value
  const members = new Map(vms.filter((vm) => vm.value.pool === name).map((vm) => [vm.name, vm.value]))
  const counts: Record<string, number> = {}
  for (const { phase } of members.values()) counts[phase] = (counts[phase] ?? 0) + 1
  const rollout = rolloutProgress(value, members, artifacts)
  return { name, spec, createdAt, updatedAt, counts, ...(rollout && { rollout }) }
}

import { type App, anyone } from './app.ts'
import { type ArtifactRoutesDeps, artifactRoutes } from './artifact-routes.ts'
import { type AuditRoutesDeps, auditRoutes } from './audit.ts'
import { type BundleRoutesDeps, bundleRoutes } from './bundle.ts'
import { type EventRoutesDeps, eventRoutes } from './events.ts'
import { type HealthRoutesDeps, healthRoutes } from './health.ts'
import { type InjectionRoutesDeps, injectionRoutes } from './injections.ts'
import { type JoinRoutesDeps, joinRoutes } from './join.ts'
import { type OperatorRoutesDeps, operatorRoutes } from './operators.ts'
import { type PoolRoutesDeps, poolRoutes } from './pools.ts'
import { type SidecarRoutesDeps, sidecarRoutes } from './sidecar.ts'
import { type StreamRoutesDeps, streamRoutes } from './stream.ts'
import { type TokenRoutesDeps, tokenRoutes } from './tokens.ts'
import { type VmRoutesDeps, vmRoutes } from './vms.ts'

/** What the groups of routes need. */
export interface RoutesDeps {
  readonly join: JoinRoutesDeps
  readonly bundle: BundleRoutesDeps
  readonly stream: StreamRoutesDeps
  readonly sidecar: SidecarRoutesDeps
  readonly artifacts: ArtifactRoutesDeps
  readonly injections: InjectionRoutesDeps
  readonly operators: OperatorRoutesDeps
  readonly pools: PoolRoutesDeps
  readonly tokens: TokenRoutesDeps
  readonly vms: VmRoutesDeps
  readonly events: EventRoutesDeps
  readonly audit: AuditRoutesDeps
  readonly health: HealthRoutesDeps
}

/** Every route of the controller. */
export function routes(app: App, deps: RoutesDeps): void {
  joinRoutes(app, deps.join)
  bundleRoutes(app, deps.bundle)
  streamRoutes(app, deps.stream)
  sidecarRoutes(app, deps.sidecar)
  artifactRoutes(app, deps.artifacts)
  injectionRoutes(app, deps.injections)
  operatorRoutes(app, deps.operators)
  poolRoutes(app, deps.pools)
  tokenRoutes(app, deps.tokens)
  eventRoutes(app, deps.events)
  vmRoutes(app, deps.vms)
  auditRoutes(app, deps.audit)
  healthRoutes(app, deps.health)
  app.route({
    method: 'GET',
    url: '/openapi.json',
    config: { access: anyone },
    schema: { summary: 'This description (OpenAPI 3.1)', tags: ['health'] },
    handler: async () => app.swagger(),
  })
}

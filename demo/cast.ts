import type { Caller } from '../test/world/caller.ts'
import type { Member } from '../test/world/member.ts'
import type { Observer } from '../test/world/watch/observer.ts'
import type { EndpointEvent } from '../test/world/watch/peer.ts'
import type { World } from '../test/world/world.ts'
import type { DemoFigures } from './figures.ts'
import type { Stage } from './stage.ts'

/** Who is on the stage. */
export interface Cast {
  readonly stage: Stage
  readonly world: World
  /** A VM, or a pod. */
  readonly client: Caller
  /** The servers that serve, by name. */
  readonly servers: Map<string, Member>
  /** What the client's Envoy knows. */
  readonly endpoints: Observer<EndpointEvent>
}

/** Collects the figures as the scenes bring them, so that a scene that fails leaves those of the others. */
export type Notebook = { -readonly [K in keyof DemoFigures]: DemoFigures[K] }

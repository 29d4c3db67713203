import { join } from 'node:path'
import type { Log } from '../../shared/log.ts'
import type { Config } from '../config.ts'
import { createInjections, type Injections } from './injections.ts'
import { createInjector, type InjectorDeps } from './ssh/injector.ts'

export interface DeliveryDeps
  extends Pick<InjectorDeps, 'store' | 'controller' | 'audit' | 'clock' | 'random' | 'environment'> {
  readonly config: Config['injection']
  /** The controller's own; the keys of hosts that were taken at first sight are kept in it. */
  readonly dataDir: string
  readonly log: Log
}

/** How the agent gets to machines that have none, as the configuration says. */
export function createDelivery({ config, dataDir, ...deps }: DeliveryDeps): Injections {
  const injector = createInjector({
    ...deps,
    log: deps.log.child({ part: 'injector' }),
    files: { folder: config.files },
    credentials: config.credentials,
    pinnedFile: join(dataDir, 'injection', 'known_hosts'),
    parallel: config.parallel,
    settings: {
      reachMs: config.reachSeconds * 1000,
      joinMs: config.joinSeconds * 1000,
      settleMs: config.readySeconds * 1000,
    },
  })
  return createInjections({ injector, clock: deps.clock })
}

import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Client } from '../kubernetes/client.ts'
import type { KubernetesObject, ResourceType } from '../kubernetes/resource.ts'
import { createWatch } from '../kubernetes/watch.ts'
import { managed } from '../mesh/identity-labels.ts'
import type { AuthorityKeep, KeptAuthority, KeptVersion } from './authority-keep.ts'
import { certificatesOf } from './authority-pair.ts'

export interface AuthoritySecretDeps {
  readonly client: Client
  /** The controller's own. */
  readonly namespace: string
  /** Of the installation: each has an authority of its own. */
  readonly release: string
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

/** A Secret with the controller's authority; `ca.crt` is for people and programs that read certificates alone. */
export interface AuthoritySecret extends KubernetesObject {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
}

export const authoritySecretType: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
}
/** On the Secret of an authority: its installation. */
export const authorityLabel = 'mesh.mooring/authority'
const keys = { current: 'authority.pem', before: 'authority-before.pem', trusted: 'ca.crt' } as const

/** Name of an installation's Secret. */
export function authoritySecretName(release: string): string {
  return `${release}-authority`
}

/** The authority of all replicas, in one Secret: the API server decides who was first. */
export function createAuthoritySecret(deps: AuthoritySecretDeps): AuthorityKeep {
  const { client, namespace, release, clock, log, random } = deps
  const name = authoritySecretName(release)
  const at = { namespace, name }

  return {
    place: `secret ${namespace}/${name}`,
    /** Waits for an API server that is away. */
    async read(signal) {
      const backoff = createBackoff({ baseMs: 250, maxMs: 5_000, floorMs: 50, random })
      for (;;) {
        try {
          const found = await client.get<AuthoritySecret>(authoritySecretType, at, { signal })
          return found && keptIn(found)
        } catch (error) {
          if (signal === undefined || signal.aborted || !isMooringError(error, 'STORE_UNAVAILABLE'))
            throw error
          await clock.sleep(backoff.next(), signal)
        }
      }
    },
    async write(next, over, signal) {
      const object: AuthoritySecret = {
        metadata: {
          ...at,
          labels: { ...managed, [authorityLabel]: release },
          ...(over !== undefined && { resourceVersion: over }),
        },
        type: 'mesh.mooring/authority',
        data: dataOf(next),
      }
      const options = { signal }
      await (over === undefined
        ? client.create(authoritySecretType, object, options)
        : client.replace(authoritySecretType, object, options))
    },
    async follow(changed, signal) {
      const tell = (object: AuthoritySecret | undefined) => {
        if (object === undefined) return changed(undefined)
        try {
          changed(keptIn(object))
        } catch {
          log.error('the authority in the cluster cannot be read; the one known goes on', { secret: name })
        }
      }
      const isIt = ({ metadata }: AuthoritySecret) => metadata.name === name
      const watch = createWatch<AuthoritySecret>({
        ...{ client, clock, log, random, type: authoritySecretType },
        scope: { namespace, labels: `${authorityLabel}=${release}` },
        listener: {
          replaced: (items) => tell(items.find(isIt)),
          changed: (item) => isIt(item) && tell(item),
          gone: (item) => isIt(item) && tell(undefined),
        },
      })
      await watch.run(signal)
    },
  }
}

function keptIn({ metadata, data = {} }: AuthoritySecret): KeptVersion {
  const text = (key: string) => {
    const value = data[key]
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8')
  }
  const [current, before] = [text(keys.current), text(keys.before)]
  if (current === undefined) {
    throw new MooringError('STORE_UNREADABLE', { detail: `secret ${metadata.name} has no ${keys.current}` })
  }
  return { current, ...(before !== undefined && { before }), version: metadata.resourceVersion ?? '' }
}

function dataOf({ current, before }: KeptAuthority): Readonly<Record<string, string>> {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const [own = ''] = certificatesOf(current)
  const [old = ''] = before === undefined ? [] : certificatesOf(before)
  return {
    [keys.current]: base64(current),
    ...(before !== undefined && { [keys.before]: base64(before) }),
    [keys.trusted]: base64(`${own}${old}`),
  }
}

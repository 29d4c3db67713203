import { randomBytes } from 'node:crypto'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { Client } from './client.ts'
import type { KubernetesObject, ResourceType } from './resource.ts'

interface KeySecret extends KubernetesObject {
  readonly type?: string
  readonly data?: Readonly<Record<string, string>>
}

const secrets: ResourceType = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' }
const keyBytes = 32

/**
 * A random key that all replicas have: what one of them signs, another accepts. Kept in a Secret that the first one
 * makes. Throws `STORE_UNREADABLE` when the Secret holds something else.
 */
export async function sharedKey(
  client: Client,
  at: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<Uint8Array> {
  for (;;) {
    const found = await client.get<KeySecret>(secrets, at, { signal })
    if (found !== undefined) return keyOf(found)
    const data = { key: randomBytes(keyBytes).toString('base64') }
    try {
      return keyOf(
        await client.create<KeySecret>(
          secrets,
          { metadata: at, type: 'mesh.mooring/shared-key', data },
          { signal },
        ),
      )
    } catch (error) {
      // Another replica was faster.
      if (!isMooringError(error, 'CONFLICT')) throw error
    }
  }
}

function keyOf({ metadata, data }: KeySecret): Uint8Array {
  const key = Buffer.from(data?.key ?? '', 'base64')
  if (key.length === keyBytes) return key
  throw new MooringError('STORE_UNREADABLE', { detail: `secret ${metadata.name}: it holds no key` })
}

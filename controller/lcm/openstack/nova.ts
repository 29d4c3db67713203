import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { MooringError } from '../../../shared/errors.ts'
import { canonicalAddress } from '../../join/address.ts'
import { refusal } from '../exchange.ts'
import type { Keystone } from './keystone.ts'

/** A server, as Nova has it. */
export interface NovaServer {
  readonly id: string
  readonly name: string
  /** For example `ACTIVE`, `SHUTOFF`, `DELETED`. */
  readonly status: string
  /** All of its fixed ones; a floating address is somebody else's. */
  readonly addresses: readonly string[]
}

export interface Nova {
  /** Undefined for a server that is not there. Throws `LCM_*`. */
  server(id: string, signal: AbortSignal): Promise<NovaServer | undefined>
}

const ServerBody = Type.Object({
  server: Type.Object({
    id: Type.String({ maxLength: 255 }),
    name: Type.String({ maxLength: 255 }),
    status: Type.String({ maxLength: 64 }),
    addresses: Type.Record(
      Type.String({ maxLength: 255 }),
      Type.Array(
        Type.Object({
          addr: Type.String({ maxLength: 64 }),
          'OS-EXT-IPS:type': Type.Optional(Type.String({ maxLength: 32 })),
        }),
        { maxItems: 64 },
      ),
    ),
  }),
})

/** The Compute API, version 2.1. */
export function createNova({ keystone }: { readonly keystone: Keystone }): Nova {
  return {
    async server(id, signal) {
      const path = `/servers/${encodeURIComponent(id)}`
      const reply = await keystone.ask({ service: 'compute', method: 'GET', path }, signal)
      if (reply.status === 404) return undefined
      if (reply.status !== 200) throw refusal(`the server ${id}`, reply)
      if (!Value.Check(ServerBody, reply.body))
        throw new MooringError('LCM_ANSWER_INVALID', { detail: `the server ${id}` })
      return serverOf(reply.body)
    },
  }
}

function serverOf({ server }: Static<typeof ServerBody>): NovaServer {
  const { id, name, status } = server
  const fixed = Object.values(server.addresses)
    .flat()
    .filter((one) => one['OS-EXT-IPS:type'] !== 'floating')
    .flatMap(({ addr }) => canonicalAddress(addr) ?? [])
  return { id, name, status, addresses: [...new Set(fixed)] }
}

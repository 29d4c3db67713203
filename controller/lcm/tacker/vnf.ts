import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { MooringError } from '../../../shared/errors.ts'

const Id = Type.String({ minLength: 1, maxLength: 255 })
const Text = Type.String({ maxLength: 1024 })

const Handle = Type.Object({
  vimConnectionId: Type.Optional(Type.Union([Text, Type.Null()])),
  resourceId: Id,
  vimLevelResourceType: Type.Optional(Type.Union([Text, Type.Null()])),
})

const Instance = Type.Object({
  id: Id,
  vnfInstanceName: Type.Optional(Type.Union([Text, Type.Null()])),
  vnfdId: Id,
  vnfProvider: Type.Optional(Text),
  vnfProductName: Type.Optional(Text),
  instantiationState: Type.Enum(['INSTANTIATED', 'NOT_INSTANTIATED']),
  metadata: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  instantiatedVnfInfo: Type.Optional(
    Type.Union([
      Type.Object({
        vnfcResourceInfo: Type.Optional(
          Type.Union([
            Type.Array(Type.Object({ id: Id, vduId: Id, computeResource: Handle }), { maxItems: 10_000 }),
            Type.Null(),
          ]),
        ),
      }),
      Type.Null(),
    ]),
  ),
})

/** A virtual machine of a VNF. */
export interface VnfServer {
  /** Nova's. In version 1 of the interface the VNFC has another id than its server. */
  readonly server: string
  readonly vnfc: string
  readonly vdu: string
}

/** A VNF as its manager knows it, whichever interface says so. */
export interface Vnf {
  readonly id: string
  readonly name: string
  readonly vnfd: string
  readonly provider: string
  readonly product: string
  readonly isInstantiated: boolean
  /** Of what the user wrote for the whole instance: what is text. */
  readonly metadata: Readonly<Record<string, string>>
  /**
   * In Tacker's order. Version 2 puts the newest first, which is the order in which it takes them away
   * (sol_refactored/conductor/vnflcm_driver_v2.py, `_make_scale_in_grant_request`).
   */
  readonly servers: readonly VnfServer[]
}

/** Reads a VNF instance (SOL 003, clause 5.5.2.2) as Tacker shows it. Throws `LCM_ANSWER_INVALID`. */
export function parseVnf(body: unknown): Vnf {
  const instance = checked(Instance, body, 'instance')
  const resources = instance.instantiatedVnfInfo?.vnfcResourceInfo ?? []
  return {
    id: instance.id,
    name: instance.vnfInstanceName ?? '',
    vnfd: instance.vnfdId,
    provider: instance.vnfProvider ?? '',
    product: instance.vnfProductName ?? '',
    isInstantiated: instance.instantiationState === 'INSTANTIATED',
    metadata: texts(instance.metadata ?? {}),
    servers: resources
      .filter(({ computeResource }) => isServer(computeResource))
      .map(({ id, vduId, computeResource }) => ({
        server: computeResource.resourceId,
        vnfc: id,
        vdu: vduId,
      })),
  }
}

/** Whether a compute resource is a virtual machine, and no pod: of VIMs of OpenStack it says so, or nothing. */
export function isServer({ vimLevelResourceType }: Static<typeof Handle>): boolean {
  return (vimLevelResourceType || 'OS::Nova::Server') === 'OS::Nova::Server'
}

/** `body` as `schema` has it. Throws `LCM_ANSWER_INVALID` with the field. */
export function checked<T extends TSchema>(schema: T, body: unknown, what: string): Static<T> {
  if (Value.Check(schema, body)) return body
  const [first] = Value.Errors(schema, body)
  const detail = `${what}${first?.instancePath ?? ''} ${first?.message ?? 'is something else'}`
  throw new MooringError('LCM_ANSWER_INVALID', { detail })
}

const mostMetadata = 64
const longestText = 256

function texts(metadata: Readonly<Record<string, unknown>>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [key, value] of Object.entries(metadata).slice(0, mostMetadata)) {
    // A flag may be written as one.
    const text = typeof value === 'boolean' ? String(value) : value
    if (typeof text === 'string' && text.length <= longestText && key.length <= longestText) found[key] = text
  }
  return found
}

export { Handle, Id }

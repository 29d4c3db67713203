import { Type } from 'typebox'
import { checked, Handle, Id, isServer } from './vnf.ts'

/** LcmOperationType of SOL 003, clause 5.5.4.5. */
export const operationTypes = [
  'INSTANTIATE',
  'SCALE',
  'SCALE_TO_LEVEL',
  'CHANGE_FLAVOUR',
  'CHANGE_VNFPKG',
  'TERMINATE',
  'HEAL',
  'OPERATE',
  'CHANGE_EXT_CONN',
  'MODIFY_INFO',
] as const
export type OperationType = (typeof operationTypes)[number]

/** LcmOperationStateType of SOL 003, clause 5.5.4.4. */
export const operationStates = [
  'STARTING',
  'PROCESSING',
  'COMPLETED',
  'FAILED_TEMP',
  'FAILED',
  'ROLLING_BACK',
  'ROLLED_BACK',
] as const
export type OperationState = (typeof operationStates)[number]

const Short = Type.Union([Type.String({ maxLength: 255 }), Type.Null()])

const Occurrence = Type.Object({
  id: Id,
  vnfInstanceId: Id,
  operation: Type.Enum([...operationTypes]),
  operationState: Type.Enum([...operationStates]),
  operationParams: Type.Optional(
    Type.Union([
      Type.Object({
        type: Type.Optional(Short),
        aspectId: Type.Optional(Short),
        numberOfSteps: Type.Optional(
          Type.Union([Type.Integer({ minimum: 0, maximum: 10_000 }), Type.Null()]),
        ),
        vnfcInstanceId: Type.Optional(Type.Union([Type.Array(Id, { maxItems: 10_000 }), Type.Null()])),
        changeStateTo: Type.Optional(Short),
      }),
      Type.Null(),
    ]),
  ),
  resourceChanges: Type.Optional(
    Type.Union([
      Type.Object({
        affectedVnfcs: Type.Optional(
          Type.Union([
            Type.Array(
              Type.Object({
                vduId: Id,
                changeType: Type.String({ maxLength: 32 }),
                computeResource: Handle,
              }),
              { maxItems: 20_000 },
            ),
            Type.Null(),
          ]),
        ),
      }),
      Type.Null(),
    ]),
  ),
})

/** One operation on a VNF, as its manager knows it. */
export interface Operation {
  readonly id: string
  readonly instance: string
  readonly type: OperationType
  readonly state: OperationState
  /** Of a SCALE; `out` for one that is neither. */
  readonly scale?: { readonly direction: 'in' | 'out'; readonly aspect: string; readonly steps: number }
  /** Of a HEAL: the VNFCs that are healed, by the ids of `vnfcInfo`; empty for all. */
  readonly healed: readonly string[]
  /** Of an OPERATE: whether its servers stop. */
  readonly stops: boolean
  /** Servers that it made and took; known only when it is completed. */
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/** Reads an operation occurrence (SOL 003, clause 5.5.2.13) as Tacker shows it. Throws `LCM_ANSWER_INVALID`. */
export function parseOperation(body: unknown): Operation {
  const { operationParams, resourceChanges, ...occurrence } = checked(Occurrence, body, 'occurrence')
  const affected = resourceChanges?.affectedVnfcs ?? []
  const servers = (change: string) =>
    affected
      .filter((one) => one.changeType === change && isServer(one.computeResource))
      .map((one) => one.computeResource.resourceId)
  const { type, aspectId, numberOfSteps } = operationParams ?? {}
  return {
    id: occurrence.id,
    instance: occurrence.vnfInstanceId,
    type: occurrence.operation,
    state: occurrence.operationState,
    ...(occurrence.operation === 'SCALE' && {
      scale: {
        direction: type === 'SCALE_IN' ? ('in' as const) : ('out' as const),
        aspect: aspectId ?? '',
        // Its default (clause 5.5.2.5, ScaleVnfRequest).
        steps: numberOfSteps ?? 1,
      },
    }),
    healed: operationParams?.vnfcInstanceId ?? [],
    stops: operationParams?.changeStateTo === 'STOPPED',
    added: servers('ADDED'),
    removed: servers('REMOVED'),
  }
}

/** Whether it may still take servers away, or has begun to. */
export function isUnderWay({ state }: Pick<Operation, 'state'>): boolean {
  return state === 'STARTING' || state === 'PROCESSING'
}

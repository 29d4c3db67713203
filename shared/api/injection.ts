import { type Static, Type } from 'typebox'
import { Name, Port, Text, Time } from './wire.ts'

const shut = { additionalProperties: false } as const

/** Name or address of a machine. */
export const SshHost = Type.String({
  minLength: 1,
  maxLength: 253,
  pattern: '^[A-Za-z0-9]([A-Za-z0-9.:_-]*)$',
})

/** Lines as in OpenSSH's known_hosts. */
const KnownHosts = Type.String({ maxLength: 128 * 1024 })

/** What is believed of machines that are made VMs of a pool by SSH. */
export const PoolInjection = Type.Object(
  {
    /** Keys of hosts, as lines of OpenSSH's known_hosts. */
    hostKeys: Type.Optional(Type.Array(Type.String({ maxLength: 2048 }), { maxItems: 1024 })),
    /** A key that nobody vouches for: `pin` takes and records the one that is seen first. */
    firstSight: Type.Optional(Type.Enum(['refuse', 'pin'])),
  },
  shut,
)

/** VMs that a request may name. */
export const mostTargets = 100

/** What is to be done to machines by SSH: made VMs of a pool, or taken out of the mesh and cleaned. */
export const InjectionCreate = Type.Object(
  {
    pool: Name,
    /** One of the controller's configuration; no request holds a secret. */
    credential: Name,
    action: Type.Optional(Type.Enum(['inject', 'remove'])),
    targets: Type.Array(
      Type.Object(
        {
          host: SshHost,
          port: Type.Optional(Port),
          /** What the machine wrote at its first boot: cloud-init shows the host's keys there. */
          consoleLog: Type.Optional(Type.String({ maxLength: 64 * 1024 })),
        },
        shut,
      ),
      { minItems: 1, maxItems: mostTargets },
    ),
    /** Through which machine the others are reached. */
    jump: Type.Optional(
      Type.Object({ host: SshHost, port: Type.Optional(Port), credential: Type.Optional(Name) }, shut),
    ),
    /** Vouches for the keys of hosts, that of the jump host as well. */
    knownHosts: Type.Optional(KnownHosts),
    /** How many are worked on at a time. */
    parallel: Type.Optional(Type.Integer({ minimum: 1, maximum: 32 })),
  },
  shut,
)
export type InjectionCreate = Static<typeof InjectionCreate>

/** The steps of an injection, in their order, and those of a removal. */
export const injectionSteps = [
  'waiting',
  'connecting',
  'looking',
  'uploading',
  'installing',
  'joining',
  'starting',
  'removing',
  'undoing',
] as const
export type InjectionStep = (typeof injectionSteps)[number]

export const injectionStates = ['waiting', 'running', 'done', 'failed'] as const

/** How far a machine is. */
export const InjectedVm = Type.Object({
  host: SshHost,
  port: Port,
  state: Type.Enum(injectionStates),
  step: Type.Enum(injectionSteps),
  /** Bytes of the agent that are there, and all of them. */
  sent: Type.Optional(Type.Object({ bytes: Type.Integer(), of: Type.Integer() })),
  /** How often the connection was made anew. */
  reconnects: Type.Integer(),
  /** SHA-256 of the host's key, and whether it was taken at first sight. */
  hostKey: Type.Optional(Text),
  pinned: Type.Optional(Type.Boolean()),
  /** False: it was as it should be before. */
  changed: Type.Optional(Type.Boolean()),
  vm: Type.Optional(Name),
  phase: Type.Optional(Text),
  /** Why it failed: a code of the catalogue, and what exactly. */
  code: Type.Optional(Text),
  detail: Type.Optional(Text),
  /** Whether what was begun could be taken back. */
  undone: Type.Optional(Type.Boolean()),
})
export type InjectedVm = Static<typeof InjectedVm>

export const InjectionView = Type.Object({
  id: Name,
  pool: Name,
  action: Type.Enum(['inject', 'remove']),
  by: Text,
  createdAt: Time,
  finishedAt: Type.Optional(Time),
  vms: Type.Array(InjectedVm),
})
export type InjectionView = Static<typeof InjectionView>

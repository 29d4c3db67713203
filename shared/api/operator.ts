import { type Static, Type } from 'typebox'
import { conditionTypes } from '../conditions.ts'
import { phases } from '../lifecycle.ts'
import { Capture, Drain, Probe, WorkloadPort } from './bundle.ts'
import { PoolInjection } from './injection.ts'
import { joinMethodNames, Nic } from './join.ts'
import { AfterDrain, DrainReason, Health } from './stream.ts'
import { Address, Cidr, Name, Seconds, Text, Time } from './wire.ts'

const Labels = Type.Record(Type.String({ maxLength: 317 }), Type.String({ maxLength: 63 }))
const Host = Type.String({ maxLength: 253, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$' })

/** VMs that are alike: who may join, and as what. Everything optional has a default; see docs/pool.yaml. */
export const PoolSpec = Type.Object(
  {
    namespace: Name,
    serviceAccount: Name,
    /** Kubernetes: a WorkloadGroup of the user's own, which says what the pool leaves open. Absent: one is made. */
    workloadGroup: Type.Optional(Name),
    /** Kubernetes: the revision of istiod that its VMs are served by. Absent: the controller's. */
    revision: Type.Optional(Name),
    labels: Type.Optional(Labels),
    locality: Type.Optional(Type.String({ maxLength: 253 })),
    /** Absent for VMs that only call others. */
    service: Type.Optional(
      Type.Object(
        {
          host: Host,
          ports: Type.Array(WorkloadPort, { minItems: 1, maxItems: 32 }),
          /** Kubernetes: `host` is that of a Service that is there already; its selector must fit `labels`. */
          existing: Type.Optional(Type.Boolean()),
        },
        { additionalProperties: false },
      ),
    ),
    join: Type.Object(
      {
        methods: Type.Array(Type.Enum(joinMethodNames), {
          minItems: 1,
          maxItems: 16,
        }),
        /** Where joiners may come from; the address that TLS shows is judged. Empty means nobody. */
        cidrs: Type.Array(Cidr, { maxItems: 64 }),
        /** How long a VM may have been away and still come back by its key alone. */
        renewWithinSeconds: Type.Optional(Seconds(60, 400 * 86_400)),
      },
      { additionalProperties: false },
    ),
    /**
     * Which of a VM's addresses is the workload's. Absent: the one it connects from. With `cidr` or
     * `interface` the VM's own word is taken, inside `cidr`: see SECURITY.md.
     */
    address: Type.Optional(
      Type.Object(
        {
          interface: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_.:@-]{1,15}$' })),
          cidr: Type.Optional(Cidr),
          /** Name of the Istio network of that address. */
          network: Type.Optional(Type.String({ maxLength: 253 })),
        },
        { additionalProperties: false },
      ),
    ),
    capture: Type.Optional(Type.Partial(Capture, { additionalProperties: false })),
    probe: Type.Optional(Probe),
    drain: Type.Optional(Type.Partial(Drain, { additionalProperties: false })),
    /** How VMs that serve take what makes their sidecar start anew: another version, another configuration. */
    rollout: Type.Optional(
      Type.Object(
        {
          /** How many VMs of the pool may not serve meanwhile, at most: a number, or a part of its VMs. */
          maxUnavailable: Type.Optional(
            Type.Union([
              Type.Integer({ minimum: 1, maximum: 1000 }),
              Type.String({ pattern: '^([1-9][0-9]?|100)%$' }),
            ]),
          ),
          /** VMs that serve stay as they are. */
          paused: Type.Optional(Type.Boolean()),
          /** A VM that does not run another version after this time goes back, and no further one takes it. */
          readyWithinSeconds: Type.Optional(Seconds(5, 3600)),
        },
        { additionalProperties: false },
      ),
    ),
    injection: Type.Optional(PoolInjection),
    liveness: Type.Optional(
      Type.Object(
        {
          heartbeatSeconds: Type.Optional(Seconds(0.1, 60)),
          lostAfterSeconds: Type.Optional(Seconds(0.3, 600)),
          /** How long a lost VM's entry is kept, closed, before it is deleted. */
          graceSeconds: Type.Optional(Seconds(1, 30 * 86_400)),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
export type PoolSpec = Static<typeof PoolSpec>

export const Pool = Type.Object({ name: Name, spec: PoolSpec }, { additionalProperties: false })
export type Pool = Static<typeof Pool>

/** `halted`: a VM did not get ready with this version, and went back to the one before. */
export const rolloutStates = ['done', 'running', 'paused', 'halted'] as const

/** What is said of a pool in a cluster, by the controller or by others. */
export const PoolCondition = Type.Object({
  type: Type.String({ maxLength: 64 }),
  status: Type.Union([Type.Literal('True'), Type.Literal('False'), Type.Literal('Unknown')]),
  reason: Type.String({ maxLength: 1024 }),
  message: Type.String({ maxLength: 32_768 }),
  since: Time,
})
export type PoolCondition = Static<typeof PoolCondition>

export const PoolView = Type.Object({
  name: Name,
  spec: PoolSpec,
  createdAt: Time,
  updatedAt: Time,
  counts: Type.Record(Type.String({ maxLength: 32 }), Type.Integer()),
  /** Whether it is accepted, fits into its namespace, or is being deleted; absent where there is no cluster. */
  conditions: Type.Optional(Type.Array(PoolCondition)),
  /** How far its VMs are with the offered sidecar; absent while none is offered, or none has a VM. */
  rollout: Type.Optional(
    Type.Object({
      version: Type.String(),
      state: Type.Enum(rolloutStates),
      /** VMs that were given the version, of all that are in the mesh. */
      updated: Type.Integer(),
      total: Type.Integer(),
      /** Why it does not go on, or what will happen; for people. */
      detail: Type.Optional(Type.String()),
    }),
  ),
})
export type PoolView = Static<typeof PoolView>

export const TokenCreate = Type.Object(
  {
    pool: Name,
    uses: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 366 * 86_400 })),
  },
  { additionalProperties: false },
)
export type TokenCreate = Static<typeof TokenCreate>

/** `token` is shown once, here; the controller keeps its hash. */
export const TokenCreated = Type.Object({
  id: Name,
  pool: Name,
  token: Type.String(),
  uses: Type.Integer(),
  expiresAt: Time,
})
export type TokenCreated = Static<typeof TokenCreated>

export const TokenView = Type.Object({
  id: Name,
  pool: Name,
  uses: Type.Integer(),
  used: Type.Integer(),
  expiresAt: Time,
  createdBy: Text,
})
export type TokenView = Static<typeof TokenView>

export const ConditionView = Type.Object({
  type: Type.Enum(conditionTypes),
  status: Type.Union([Type.Literal('True'), Type.Literal('False'), Type.Literal('Unknown')]),
  reason: Type.String(),
  message: Type.String(),
  since: Time,
})

export const VmView = Type.Object({
  id: Name,
  pool: Name,
  phase: Type.Enum(phases),
  /** Unix milliseconds of the last change of phase. */
  phaseSince: Time,
  address: Address,
  health: Health,
  conditions: Type.Array(ConditionView),
  method: Type.String(),
  hostname: Type.String(),
  arch: Type.String(),
  agentVersion: Type.String(),
  sidecarVersion: Type.Optional(Type.String()),
  sidecarRestarts: Type.Integer(),
  nics: Type.Array(Nic),
  facts: Type.Record(Type.String(), Type.String()),
  identity: Type.String({ description: 'SPIFFE id of its workload' }),
  certificateExpiresAt: Time,
  connected: Type.Boolean(),
  /** Last time this controller heard from it; 0 if not since the controller started. */
  lastHeard: Time,
  draining: Type.Optional(
    Type.Object({ reason: DrainReason, after: AfterDrain, requestedAt: Time, by: Text }),
  ),
  revoked: Type.Boolean(),
  createdAt: Time,
})
export type VmView = Static<typeof VmView>

/** Answer to "why is this VM not ready", in words. */
export const VmExplanation = Type.Object({
  id: Name,
  ready: Type.Boolean(),
  /** One sentence: what is the case. */
  summary: Text,
  /** The failing step, a condition type; absent when nothing is wrong. */
  step: Type.Optional(Type.String()),
  cause: Type.Optional(Type.String()),
  fix: Type.Optional(Type.String()),
  since: Type.Optional(Time),
})
export type VmExplanation = Static<typeof VmExplanation>

export const DrainCreate = Type.Object(
  { after: Type.Optional(AfterDrain), deadlineSeconds: Type.Optional(Seconds(0, 3600)) },
  { additionalProperties: false },
)
export type DrainCreate = Static<typeof DrainCreate>

/** `now`: do not drain first. */
export const RemoveQuery = Type.Object(
  { now: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
)

export const roles = ['viewer', 'operator', 'admin'] as const
export const Role = Type.Enum(roles)
export type Role = Static<typeof Role>

/** The pools of a grant; `*` means all. */
export const PoolScope = Type.Array(
  Type.String({ maxLength: 63, pattern: '^(\\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$' }),
  {
    minItems: 1,
    maxItems: 256,
  },
)

export const OperatorCreate = Type.Object(
  {
    name: Name,
    role: Role,
    pools: Type.Optional(PoolScope),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 366 * 86_400 })),
  },
  { additionalProperties: false },
)
export type OperatorCreate = Static<typeof OperatorCreate>

/** `token` is shown once, here. */
export const OperatorCreated = Type.Object({
  name: Name,
  role: Role,
  pools: PoolScope,
  token: Type.String(),
  expiresAt: Time,
})
export type OperatorCreated = Static<typeof OperatorCreated>

/** The password is used once, to wrap what is answered, and kept nowhere. */
export const OperatorCertificateRequest = Type.Object(
  {
    password: Type.String({ minLength: 8, maxLength: 128 }),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 366 * 86_400 })),
  },
  { additionalProperties: false },
)
export type OperatorCertificateRequest = Static<typeof OperatorCertificateRequest>

/** Key, certificate and issuer as PKCS#12 (RFC 7292), base64; shown once, here. */
export const OperatorCertificate = Type.Object({
  name: Name,
  pkcs12: Type.String({ maxLength: 65_536 }),
  expiresAt: Time,
})
export type OperatorCertificate = Static<typeof OperatorCertificate>

export const OperatorView = Type.Object({
  name: Name,
  role: Role,
  pools: PoolScope,
  expiresAt: Time,
  createdAt: Time,
})
export type OperatorView = Static<typeof OperatorView>

/** The first administrator: the code that the controller's first start printed, and a name. */
export const Enrol = Type.Object(
  { code: Type.String({ minLength: 16, maxLength: 128 }), name: Name },
  { additionalProperties: false },
)
export type Enrol = Static<typeof Enrol>

export const AuditRecord = Type.Object({
  /** Grows from record to record, not always by one. */
  seq: Type.Integer(),
  time: Time,
  /** `operator:<name>`, `vm:<id>`, `controller`, or `anonymous`. */
  actor: Text,
  /** What was tried: `join`, `pool.apply`, `vm.drain`, ... */
  action: Text,
  /** On what: `pool/web`, `vm/vm-0123`, ... */
  target: Text,
  outcome: Type.Union([Type.Literal('allowed'), Type.Literal('denied'), Type.Literal('done')]),
  /** Error code, when denied. */
  code: Type.Optional(Text),
  detail: Type.Optional(Text),
  address: Type.Optional(Text),
})
export type AuditRecord = Static<typeof AuditRecord>

export const AuditQuery = Type.Object(
  {
    after: Type.Optional(Type.Integer({ minimum: 0 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    target: Type.Optional(Text),
  },
  { additionalProperties: false },
)

import { stringify } from 'yaml'
import type { ResourceType } from '../../controller/kubernetes/resource.ts'
import { poolDefaults } from '../../controller/mesh/pool-defaults.ts'
import { group, pools, version, virtualMachines } from '../../controller/store/kubernetes/resources.ts'
import { VmSpec, VmStatus } from '../../controller/store/kubernetes/vm-schema.ts'
import { PoolSpec } from '../../shared/api/operator.ts'
import { conditionStatuses } from '../../shared/conditions.ts'
import { type JsonSchema, structural } from './structural.ts'

interface Rule {
  /** CEL, over the value that it is put on. */
  readonly rule: string
  readonly message: string
}

interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  /** Shown with `-o wide` alone. */
  readonly priority?: 1
}

const nameRule: Rule = {
  rule: "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
  message: 'the name must be a DNS label of at most 63 characters',
}
const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }
const anything: JsonSchema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }

/** The standard form, meta/v1 Condition; reasons may be codes, and empty, as agents report them. */
const conditions: JsonSchema = {
  type: 'array',
  maxItems: 64,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['type'],
  items: {
    type: 'object',
    required: ['type', 'status', 'lastTransitionTime'],
    properties: {
      type: { type: 'string', minLength: 1, maxLength: 64 },
      status: { type: 'string', enum: [...conditionStatuses] },
      reason: { type: 'string', maxLength: 1024 },
      message: { type: 'string', maxLength: 32_768 },
      lastTransitionTime: { type: 'string', format: 'date-time' },
      observedGeneration: { type: 'integer', format: 'int64', minimum: 0 },
    },
  },
}
const observedGeneration: JsonSchema = { type: 'integer', format: 'int64', minimum: 0 }

/** Every file of `packaging/helm/crds`, by its name. */
export function renderDefinitions(): ReadonlyMap<string, string> {
  return new Map([
    ['pools.yaml', render(pool())],
    ['virtualmachines.yaml', render(virtualMachine())],
  ])
}

function pool(): JsonSchema {
  const { liveness } = poolDefaults
  const spec = ruled(without(structural(PoolSpec, 'spec'), 'namespace'), {
    serviceAccount: [
      { rule: 'self == oldSelf', message: 'VMs hold this identity: it cannot change, make another pool' },
    ],
    'join.cidrs': [
      { rule: 'self.all(c, isCIDR(c))', message: 'each must be an address with a prefix length' },
    ],
    'address.cidr': [{ rule: 'isCIDR(self)', message: 'must be an address with a prefix length' }],
    'capture.excludeOutboundCidrs': [
      { rule: 'self.all(c, isCIDR(c))', message: 'each must be an address with a prefix length' },
    ],
    'service.ports': [
      {
        rule: 'self.all(a, self.exists_one(b, a.number == b.number))',
        message: 'a port number is there twice',
      },
    ],
    liveness: [
      {
        rule: `(has(self.lostAfterSeconds) ? self.lostAfterSeconds : ${double(liveness.lostAfterSeconds)}) >= 1.5 * (has(self.heartbeatSeconds) ? self.heartbeatSeconds : ${double(liveness.heartbeatSeconds)})`,
        message: 'lostAfterSeconds must be at least 1.5 times heartbeatSeconds',
      },
    ],
  })
  const status = { type: 'object', properties: { observedGeneration, conditions, accepted: anything } }
  // A name twice is refused by that too; a rule would cost too much, since names are bounded by a pattern alone.
  const keyed = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }
  return definition(pools, {
    names: { singular: 'pool', shortNames: ['mpool'] },
    about: 'VMs that are alike: who may join, and as what. Its namespace is that of their workloads.',
    spec: extended(spec, ['service', 'ports'], keyed),
    status,
    columns: [
      { name: 'Service', type: 'string', jsonPath: '.spec.service.host' },
      { name: 'Account', type: 'string', jsonPath: '.spec.serviceAccount' },
      ...['Accepted', 'Fit'].map((type) => condition(type, 'status', type)),
      { ...condition('Reason', 'reason', 'Accepted'), priority: 1 },
      { ...condition('Unfit', 'reason', 'Fit'), priority: 1 },
      { ...condition('Deleting', 'reason', 'Deleting'), priority: 1 },
      age,
    ],
  })
}

function virtualMachine(): JsonSchema {
  const spec = ruled(structural(VmSpec, 'spec'), {
    '': [
      { rule: '!has(oldSelf.revoked) || has(self.revoked)', message: 'a revocation is final' },
      {
        rule: 'self.keyThumbprint == oldSelf.keyThumbprint',
        message: "a VM's key is its identity and cannot change",
      },
    ],
  })
  const described = structural(VmStatus, 'status')
  const status = {
    type: 'object',
    properties: {
      observedGeneration,
      ...(described.properties as object),
      conditions,
      further: { ...anything, description: 'What a controller of another version keeps of it.' },
    },
  }
  return definition(virtualMachines, {
    names: { singular: 'virtualmachine', shortNames: ['vm'] },
    about: 'A VM that joined a pool. Made and kept by the controller; deleting one takes it out of the mesh.',
    spec,
    status,
    columns: [
      { name: 'Pool', type: 'string', jsonPath: '.spec.pool' },
      { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
      condition('Ready', 'status', 'Ready'),
      { name: 'Address', type: 'string', jsonPath: '.spec.address' },
      { ...condition('Reason', 'reason', 'Ready'), priority: 1 },
      { name: 'Host', type: 'string', jsonPath: '.spec.hostname', priority: 1 },
      { name: 'Sidecar', type: 'string', jsonPath: '.status.sidecarVersion', priority: 1 },
      age,
    ],
  })
}

/** A column with a part of a condition. */
function condition(name: string, part: 'status' | 'reason', type: string): Column {
  return { name, type: 'string', jsonPath: `.status.conditions[?(@.type=="${type}")].${part}` }
}

interface Parts {
  readonly names: { readonly singular: string; readonly shortNames: readonly string[] }
  readonly about: string
  readonly spec: JsonSchema
  readonly status: JsonSchema
  readonly columns: readonly Column[]
}

function definition(
  { plural, kind }: ResourceType,
  { names, about, spec, status, columns }: Parts,
): JsonSchema {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, kind, listKind: `${kind}List`, categories: ['mooring'], ...names },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: about,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec,
                status,
              },
              'x-kubernetes-validations': [nameRule],
            },
          },
        },
      ],
    },
  }
}

function render(crd: JsonSchema): string {
  const note =
    '# Made from the schemas of the sources by `node packaging/crds/write.ts`; a test compares them.\n'
  return note + stringify(crd, { lineWidth: 0, aliasDuplicateObjects: false })
}

/** The schema with rules put on the fields that the paths name; `''` is the schema itself. */
function ruled(schema: JsonSchema, rules: Readonly<Record<string, readonly Rule[]>>): JsonSchema {
  let result = schema
  for (const [path, own] of Object.entries(rules)) {
    result = extended(result, path === '' ? [] : path.split('.'), { 'x-kubernetes-validations': own })
  }
  return result
}

function extended(schema: JsonSchema, [first, ...rest]: readonly string[], by: JsonSchema): JsonSchema {
  if (first === undefined) return { ...schema, ...by }
  const properties = schema.properties as Readonly<Record<string, JsonSchema>>
  const inner = properties[first]
  if (inner === undefined) throw new RangeError(`no field ${first}`)
  return { ...schema, properties: { ...properties, [first]: extended(inner, rest, by) } }
}

function without(schema: JsonSchema, key: string): JsonSchema {
  const { [key]: _, ...properties } = schema.properties as Readonly<Record<string, JsonSchema>>
  const required = (schema.required as readonly string[]).filter((name) => name !== key)
  return { ...schema, properties, required }
}

/** CEL has no mixed arithmetic: a whole number needs its point. */
function double(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value)
}

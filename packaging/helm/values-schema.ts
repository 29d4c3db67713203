import { Config } from '../../controller/config.ts'

type Schema = { readonly [key: string]: unknown }

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const list = { type: 'array' } as const
const tree = { type: 'object' } as const
const count = (minimum: number, maximum = 10_000) => ({ type: 'integer', minimum, maximum }) as const
const texts = { type: 'array', items: text } as const
/** Refuses what it does not name. */
const closed = (properties: Schema) => ({ type: 'object', additionalProperties: false, properties })

/** What `helm` holds values against (values.schema.json); the controller's own options come from its schema. */
export function valuesSchema(): Schema {
  const { properties } = Config
  const kubernetes = properties.mesh.properties.kubernetes.properties
  const spread = {
    type: 'object',
    required: ['topologyKey', 'whenUnsatisfiable'],
    properties: {
      topologyKey: text,
      whenUnsatisfiable: { enum: ['ScheduleAnyway', 'DoNotSchedule'] },
      maxSkew: count(1),
    },
  }
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...closed({
      // Of charts that have this one as a part.
      global: tree,
      advertise: optional(properties.advertise),
      mesh: closed({
        istioNamespace: optional(kubernetes.istioNamespace),
        revision: optional(kubernetes.revision),
        revisions: { type: 'array', items: optional(kubernetes.revision) },
        rootNamespace: optional(kubernetes.namespace),
        istiodAddress: optional(kubernetes.istiodAddress),
        namespaces: optional(kubernetes.namespaces),
      }),
      config: optional(Config),
      replicas: count(0, 100),
      image: closed({
        repository: { type: 'string', minLength: 1 },
        tag: text,
        digest: { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
        pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
      }),
      imagePullSecrets: list,
      nameOverride: text,
      fullnameOverride: text,
      crds: closed({ install: flag }),
      service: closed({
        type: { enum: ['LoadBalancer', 'NodePort', 'ClusterIP'] },
        port: count(1, 65_535),
        nodePort: count(0, 65_535),
        externalTrafficPolicy: { enum: ['Local', 'Cluster'] },
        externalIPs: texts,
        loadBalancerClass: text,
        loadBalancerSourceRanges: texts,
        annotations: tree,
      }),
      serviceAccount: closed({ create: flag, name: text, annotations: tree }),
      rbac: closed({ create: flag }),
      certificate: closed({
        existingSecret: text,
        certManager: closed({
          enabled: flag,
          issuerRef: closed({ name: text, kind: text, group: text }),
          duration: text,
          renewBefore: text,
        }),
      }),
      persistence: closed({
        enabled: flag,
        existingClaim: text,
        accessMode: { enum: ['ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany'] },
        storageClass: text,
        size: text,
      }),
      resources: tree,
      podDisruptionBudget: closed({ enabled: flag, maxUnavailable: { type: ['integer', 'string'] } }),
      topologySpread: { type: 'array', items: spread },
      networkPolicy: closed({
        enabled: flag,
        from: list,
        apiServerPorts: { type: 'array', items: count(1, 65_535) },
        egress: list,
      }),
      serviceMonitor: closed({
        enabled: flag,
        interval: text,
        labels: tree,
        tokenSecret: closed({ name: text, key: text }),
      }),
      terminationGracePeriodSeconds: count(1),
      priorityClassName: text,
      nodeSelector: tree,
      tolerations: list,
      affinity: tree,
      podLabels: tree,
      podAnnotations: tree,
      extraEnv: list,
      extraVolumes: list,
      extraVolumeMounts: list,
    }),
  }
}

/** The file's text. */
export function renderValuesSchema(): string {
  return `${JSON.stringify(valuesSchema(), null, 2)}\n`
}

/** A schema of TypeBox as it is for values: what has a default may be left out, and the controller fills it in. */
function optional(schema: object): Schema {
  const {
    default: _,
    required,
    ...rest
  } = JSON.parse(JSON.stringify(schema)) as Schema & {
    readonly required?: readonly string[]
    readonly properties?: Readonly<Record<string, Schema>>
  }
  const inner = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(inner)
      : typeof value === 'object' && value !== null
        ? optional(value)
        : value
  const needed = (required ?? []).filter((name) => rest.properties?.[name]?.default === undefined)
  return {
    ...Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, inner(value)])),
    ...(needed.length > 0 && { required: needed }),
  }
}

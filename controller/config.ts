import { readFile } from 'node:fs/promises'
import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import { PoolScope, Role } from '../shared/api/operator.ts'
import { errorText, MooringError } from '../shared/errors.ts'
import { logLevels } from '../shared/log.ts'

const shut = { additionalProperties: false } as const
const Path = Type.String({ minLength: 2, maxLength: 4096, pattern: '^/' })
const Listen = (value: string) => Type.String({ maxLength: 300, pattern: '^.+:\\d{1,5}$', default: value })
const Count = (value: number, minimum = 1) => Type.Integer({ minimum, maximum: 10_000_000, default: value })
/** Less than a minute would leave no time to renew in. */
const Ttl = (value: number, maximum: number) => Type.Integer({ minimum: 60, maximum, default: value })
const day = 86_400
/** RFC 1123, as names of namespaces are. */
const label = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
const Tree = Type.Record(Type.String({ maxLength: 128 }), Type.Unknown(), { default: {} })
const Claim = (options = {}) => Type.String({ minLength: 1, maxLength: 256, ...options })
const Environment = Type.Record(
  Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,127}$' }),
  Type.String({ maxLength: 4096 }),
  { default: {} },
)

/** Where a secret is: exactly one of the two. */
const SecretReference = Type.Object(
  {
    file: Type.Optional(Path),
    env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' })),
  },
  { ...shut, minProperties: 1, maxProperties: 1 },
)

/** Every option of the controller; docs/controller.yaml shows them with their defaults, and explains. */
export const Config = Type.Object(
  {
    listen: Listen('0.0.0.0:8443'),
    advertise: Type.Array(Type.String({ minLength: 1, maxLength: 300 }), { maxItems: 64, default: [] }),
    dataDir: Type.String({
      minLength: 2,
      maxLength: 1024,
      pattern: '^/',
      default: '/var/lib/mooring-controller',
    }),
    instance: Type.String({ maxLength: 253, default: '' }),
    mesh: Type.Object(
      {
        mode: Type.Enum(['standalone', 'kubernetes'], { default: 'standalone' }),
        trustDomain: Type.String({
          maxLength: 253,
          pattern: '^[a-z0-9][a-z0-9._-]*$',
          default: 'cluster.local',
        }),
        meshId: Type.String({ maxLength: 253, default: 'mesh1' }),
        clusterId: Type.String({ maxLength: 253, default: 'Kubernetes' }),
        network: Type.String({ maxLength: 253, default: '' }),
        istiod: Type.Object(
          {
            /** Needed in standalone mode, which `readConfig` sees to. */
            binary: Type.Optional(Path),
            listen: Listen('0.0.0.0:15012'),
            address: Type.String({ maxLength: 253, default: '' }),
            environment: Environment,
            meshConfig: Tree,
          },
          { ...shut, default: {} },
        ),
        kubernetes: Type.Object(
          {
            kubeconfig: Type.String({ maxLength: 4096, pattern: '^(/.+)?$', default: '' }),
            context: Type.String({ maxLength: 253, default: '' }),
            namespace: Type.String({ pattern: `^(${label})?$`, default: '' }),
            release: Type.String({ pattern: `^${label}$`, default: 'mooring' }),
            namespaces: Type.Array(Type.String({ pattern: `^${label}$` }), { maxItems: 1000, default: [] }),
            istioNamespace: Type.String({ pattern: `^${label}$`, default: 'istio-system' }),
            revision: Type.String({ pattern: `^(${label})?$`, default: '' }),
            istiodAddress: Type.String({ maxLength: 300, pattern: '^(.+:\\d{1,5})?$', default: '' }),
            istiodAddresses: Type.Record(
              Type.String({ pattern: `^${label}$` }),
              Type.String({ maxLength: 300, pattern: '^.+:\\d{1,5}$' }),
              { default: {} },
            ),
            clusterId: Type.String({ maxLength: 253, default: '' }),
          },
          { ...shut, default: {} },
        ),
      },
      { ...shut, default: {} },
    ),
    sidecar: Type.Object(
      {
        artifacts: Type.Array(
          Type.Object(
            {
              version: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$' }),
              arch: Type.Enum(['amd64', 'arm64']),
              file: Path,
            },
            shut,
          ),
          { maxItems: 8, default: [] },
        ),
        trustedKeys: Type.Array(Path, { maxItems: 8, default: [] }),
        proxyConfig: Tree,
        environment: Environment,
      },
      { ...shut, default: {} },
    ),
    injection: Type.Object(
      {
        files: Type.String({ maxLength: 4096, pattern: '^(/.+)?$', default: '' }),
        credentials: Type.Array(
          Type.Object(
            {
              name: Type.String({ pattern: `^${label}$` }),
              user: Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_.-]{0,63}$' }),
              privateKey: Type.Optional(SecretReference),
              passphrase: Type.Optional(SecretReference),
              password: Type.Optional(SecretReference),
              pools: Type.Array(Type.String({ pattern: `^(\\*|${label})$` }), { minItems: 1, maxItems: 256 }),
              cidrs: Type.Array(Type.String({ maxLength: 49 }), { maxItems: 64, default: [] }),
            },
            shut,
          ),
          { maxItems: 256, default: [] },
        ),
        parallel: Count(8),
        reachSeconds: Count(30),
        joinSeconds: Count(120),
        readySeconds: Count(120),
      },
      { ...shut, default: {} },
    ),
    certificates: Type.Object(
      {
        agentTtlSeconds: Ttl(day, 366 * day),
        tokenTtlSeconds: Ttl(3600, day),
        workloadTtlSeconds: Ttl(3600, 7 * day),
        serverFolder: Type.String({ maxLength: 4096, pattern: '^(/.+)?$', default: '' }),
      },
      { ...shut, default: {} },
    ),
    fleet: Type.Object(
      { reconnectWindowSeconds: Count(15), resyncSeconds: Count(60), parallel: Count(32) },
      { ...shut, default: {} },
    ),
    operators: Type.Object(
      {
        own: Type.Enum(['allowed', 'refused'], { default: 'allowed' }),
        kubernetes: Type.Object(
          {
            audiences: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), {
              maxItems: 16,
              default: ['mooring'],
            }),
          },
          { ...shut, default: {} },
        ),
        oidc: Type.Object(
          {
            issuer: Type.String({ maxLength: 2048, pattern: '^(https://[^?#]+)?$', default: '' }),
            audience: Type.String({ maxLength: 512, default: '' }),
            caFile: Type.String({ maxLength: 4096, pattern: '^(/.+)?$', default: '' }),
            nameClaim: Claim({ default: 'sub' }),
            clockSkewSeconds: Type.Integer({ minimum: 0, maximum: 300, default: 30 }),
            grants: Type.Array(
              Type.Object(
                {
                  claim: Claim(),
                  value: Type.String({ minLength: 1, maxLength: 512 }),
                  role: Role,
                  pools: PoolScope,
                },
                shut,
              ),
              { maxItems: 256, default: [] },
            ),
          },
          { ...shut, default: {} },
        ),
      },
      { ...shut, default: {} },
    ),
    log: Type.Object({ level: Type.Enum(logLevels, { default: 'info' }) }, { ...shut, default: {} }),
    limits: Type.Object(
      {
        joinsAtOnce: Count(16),
        joinsWaiting: Count(2000, 0),
        joinsPerSecond: Count(0, 0),
        joinSeconds: Count(20),
        joinRequestsPerMinute: Count(6000),
        failuresPerMinute: Count(300),
        enrolmentsPerMinute: Count(20),
        connections: Count(20_000),
        headerSeconds: Count(10),
        requestSeconds: Count(30),
        idleSeconds: Count(120),
        watchers: Count(200),
        auditRecords: Count(1_000_000),
        leftVms: Count(20_000),
      },
      { ...shut, default: {} },
    ),
  },
  { ...shut, default: {} },
)
export type Config = Static<typeof Config>

export interface ConfigSources {
  /** YAML or JSON; absent means defaults and environment alone. */
  readonly file?: string
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Reads the file, lays `MOORING_…` variables over it and fills in defaults. Throws `CONFIG_INVALID`. */
export async function loadConfig(sources: ConfigSources): Promise<Config> {
  const { file } = sources
  if (file === undefined) return readConfig('', sources.environment)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw invalid(`${file} cannot be read: ${errorText(error)}`)
  }
  return readConfig(text, sources.environment, file)
}

/** The same from the text of a file. */
export function readConfig(text: string, environment: ConfigSources['environment'], from = 'config'): Config {
  let tree: unknown
  try {
    tree = parse(text, { maxAliasCount: 100 }) ?? {}
  } catch (error) {
    throw invalid(`${from}: ${errorText(error).split('\n')[0] ?? ''}`)
  }
  if (!isTree(tree)) throw invalid(`${from} must hold keys and values`)
  for (const { name, path, schema } of environmentNames()) {
    const value = environment[name]
    if (value !== undefined) put(tree, path, fromText(name, value, schema))
  }
  const config = Value.Default(Config, tree)
  if (!Value.Check(Config, config)) throw invalid(`${from}: ${fault(config)}`)
  const { mode, istiod } = config.mesh
  if (mode === 'standalone' && istiod.binary === undefined) {
    throw invalid(`${from}: mesh.istiod.binary is missing`)
  }
  const { issuer, audience } = config.operators.oidc
  if ((issuer === '') !== (audience === '')) {
    throw invalid(`${from}: operators.oidc needs both issuer and audience, or neither`)
  }
  return config
}

interface EnvironmentName {
  readonly name: string
  readonly path: readonly string[]
  readonly schema: TSchema
}

/** The variable of every option that one text can say: `mesh.trustDomain` is `MOORING_MESH_TRUST_DOMAIN`. */
export function environmentNames(): readonly EnvironmentName[] {
  const names: EnvironmentName[] = []
  const walk = (schema: TSchema, path: readonly string[]) => {
    const { properties, type, items } = schema as {
      properties?: Record<string, TSchema>
      type?: string
      items?: { type?: string }
    }
    if (properties !== undefined) {
      for (const [key, inner] of Object.entries(properties)) walk(inner, [...path, key])
    } else if (type !== 'object' && (type !== 'array' || items?.type === 'string')) {
      const words = path.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase())
      names.push({ name: `MOORING_${words.join('_')}`, path, schema })
    }
  }
  walk(Config, [])
  return names
}

function fromText(name: string, text: string, schema: TSchema): unknown {
  const { type } = schema as { type?: string }
  if (type === 'array') return text.split(',').map((part) => part.trim())
  if (type !== 'integer') return text
  if (!/^\d{1,15}$/.test(text)) throw invalid(`${name} must be a number`)
  return Number(text)
}

function put(tree: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path
  if (rest.length === 0) {
    tree[key] = value
    return
  }
  const inner = tree[key] ?? {}
  if (!isTree(inner)) throw invalid(`${key} must hold keys and values`)
  tree[key] = inner
  put(inner, rest, value)
}

/** The first thing that is wrong, as a person would say it; never the value, which may be a secret. */
function fault(config: unknown): string {
  const faults = [...Value.Errors(Config, config)]
  // A key that is not known explains the one that is missing.
  const first = faults.find(({ keyword }) => keyword === 'boolean') ?? faults[0]
  if (first === undefined) return 'it does not fit'
  const { keyword, instancePath, message, params } = first
  const key = instancePath.slice(1).replaceAll('/', '.')
  if (keyword === 'boolean') return `unknown key ${key}`
  if (keyword === 'required') {
    const missing = (params as { requiredProperties?: readonly string[] }).requiredProperties?.[0] ?? ''
    return `${key === '' ? missing : `${key}.${missing}`} is missing`
  }
  return `${key} ${message}`
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(detail: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail })
}

/** Host and port of `host:port`, also of `[::]:port`. Throws `CONFIG_INVALID`, naming the key. */
export function hostAndPort(text: string, key: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  const host = bracketed ?? plain
  if (host === undefined || port > 65_535) throw invalid(`${key} must be host:port`)
  return { host, port }
}

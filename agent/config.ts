import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { Name } from '../shared/api/wire.ts'
import { MooringError } from '../shared/errors.ts'
import { logLevels } from '../shared/log.ts'
import { type ConfigLayer, isRecord, layerWith, mergeLayers } from './config-layers.ts'
import { type SupervisorKind, supervisorKinds } from './sidecar/supervisor-choice.ts'

/** The state folder that the package's units know. */
export const defaultState = '/var/lib/mooring'

const closed = { additionalProperties: false }
const Path = Type.String({ minLength: 1, maxLength: 1024 })

/** The configuration file. It holds no secret: secrets are in files that it names. */
const ConfigFile = Type.Object(
  {
    controller: Type.Object(
      {
        url: Type.String({ maxLength: 512, pattern: '^https://[^/?#@]+/?$' }),
        caFile: Type.Optional(Path),
        pin: Type.Optional(Type.String({ pattern: '^sha256:[0-9a-f]{64}$' })),
      },
      closed,
    ),
    pool: Name,
    join: Type.Optional(
      Type.Object({ method: Type.Optional(Type.Literal('token')), tokenFile: Type.Optional(Path) }, closed),
    ),
    state: Type.Optional(Path),
    run: Type.Optional(Path),
    supervisor: Type.Optional(Type.Union(supervisorKinds.map((kind) => Type.Literal(kind)))),
    log: Type.Optional(
      Type.Object(
        { level: Type.Optional(Type.Union(logLevels.map((level) => Type.Literal(level)))) },
        closed,
      ),
    ),
  },
  closed,
)

/** How the agent knows its controller: exactly one of the two. */
export type TrustConfig = { readonly caFile: string } | { readonly pin: string }

/** The configuration, checked, with every default filled in. */
export interface AgentConfig {
  readonly controller: { readonly url: URL; readonly trust: TrustConfig }
  readonly pool: string
  readonly join: { readonly method: 'token'; readonly tokenFile: string }
  readonly state: string
  readonly run: string
  /** What runs the sidecar; undefined: what the machine offers. */
  readonly supervisor?: SupervisorKind
  readonly log: { readonly level: (typeof logLevels)[number] }
}

/** Variables that replace a value of the file, and the place they replace. */
export const environmentNames = {
  MOORING_CONTROLLER_URL: ['controller', 'url'],
  MOORING_CONTROLLER_CA_FILE: ['controller', 'caFile'],
  MOORING_CONTROLLER_PIN: ['controller', 'pin'],
  MOORING_POOL: ['pool'],
  MOORING_JOIN_METHOD: ['join', 'method'],
  MOORING_JOIN_TOKEN_FILE: ['join', 'tokenFile'],
  MOORING_STATE: ['state'],
  MOORING_RUN: ['run'],
  MOORING_SUPERVISOR: ['supervisor'],
  MOORING_LOG_LEVEL: ['log', 'level'],
} as const satisfies Record<string, readonly string[]>

/**
 * Lays the files of the configuration over each other, puts the environment over them and checks the whole. Throws
 * `NOT_CONFIGURED` when none of them says where the controller is, and `CONFIG_INVALID` with the name of the field.
 */
export function readConfig(
  layers: readonly ConfigLayer[],
  env: Readonly<Record<string, string | undefined>>,
): AgentConfig {
  const file = withEnvironment(mergeLayers(layers), env)
  if (!isConfigured(file)) throw new MooringError('NOT_CONFIGURED', { detail: whereLooked(layers) })
  if (!Value.Check(ConfigFile, file)) throw invalid(firstFault(file, layers))
  const { controller, pool, join, log, state, run, supervisor } = file
  return {
    controller: { url: new URL(controller.url), trust: trustOf(controller) },
    pool,
    join: { method: join?.method ?? 'token', tokenFile: join?.tokenFile ?? '/etc/mooring/token' },
    state: state ?? defaultState,
    run: run ?? '/run/mooring',
    ...(supervisor !== undefined && { supervisor }),
    log: { level: log?.level ?? 'info' },
  }
}

/** The example that the package brings counts as none: its name is nobody's (RFC 2606, section 3). */
const exampleController = /^https:\/\/([^/]*\.)?example\.(org|com|net)(:|\/|$)/

function isConfigured(file: unknown): boolean {
  if (!isRecord(file)) return true
  const { controller = {} } = file
  if (!isRecord(controller)) return true
  const { url } = controller
  // Whoever wrote whom to trust forgot the address; that is a fault, and not a file that is still to come.
  if (url === undefined) return 'pin' in controller || 'caFile' in controller
  return typeof url !== 'string' || !exampleController.test(url)
}

function whereLooked(layers: readonly ConfigLayer[]): string {
  if (layers.length === 0) return 'there is no configuration file'
  return `${layers.map(({ path }) => path).join(', ')} ${layers.length === 1 ? 'says' : 'say'} nothing of it, or hold the example`
}

function trustOf({ caFile, pin }: Static<typeof ConfigFile>['controller']): TrustConfig {
  if (caFile !== undefined && pin !== undefined) {
    throw invalid('controller.caFile and controller.pin exclude each other')
  }
  if (caFile !== undefined) return { caFile }
  if (pin !== undefined) return { pin }
  throw invalid('controller needs caFile or pin: the agent trusts no controller at first sight')
}

function withEnvironment(file: unknown, env: Readonly<Record<string, string | undefined>>): unknown {
  if (!isRecord(file)) return file
  let result = file
  for (const [name, place] of Object.entries(environmentNames)) {
    const value = env[name]
    if (value !== undefined && value !== '') result = put(result, place, value)
  }
  return result
}

function put(
  target: Record<string, unknown>,
  [head = '', ...rest]: readonly string[],
  value: string,
): Record<string, unknown> {
  if (rest.length === 0) return { ...target, [head]: value }
  const inner = target[head]
  return { ...target, [head]: put(isRecord(inner) ? inner : {}, rest, value) }
}

/** Unknown keys first: a misspelt key is the cause of most other faults. */
function firstFault(file: unknown, layers: readonly ConfigLayer[]): string {
  const faults = Value.Errors(ConfigFile, file)
  const unknown = faults.find((fault) => fault.keyword === 'boolean')
  if (unknown !== undefined) {
    return `${field(unknown.instancePath)} is not a key of the configuration${said(unknown.instancePath, layers)}`
  }
  const [first] = faults
  if (first === undefined) return 'it does not fit its schema'
  const missing = first.keyword === 'required' ? first.params.requiredProperties.join(', ') : undefined
  const where = field(first.instancePath)
  return missing === undefined
    ? `${where || 'the file'} ${first.message}${said(first.instancePath, layers)}`
    : `${where === '' ? '' : `${where}.`}${missing} is missing`
}

/** Where it is said, if there is more than one place. */
function said(instancePath: string, layers: readonly ConfigLayer[]): string {
  const path = layers.length > 1 ? layerWith(layers, instancePath.split('/').slice(1)) : undefined
  return path === undefined ? '' : ` (in ${path})`
}

function field(instancePath: string): string {
  return instancePath.replace(/^\//, '').replaceAll('/', '.')
}

function invalid(detail: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail })
}

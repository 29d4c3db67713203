import { parseArgs } from 'node:util'
import { errorText, MooringError } from '../shared/errors.ts'

/** What the command line asks for. */
export type Command =
  | { readonly name: 'run'; readonly config: string | undefined; readonly json: boolean }
  | { readonly name: 'enrol'; readonly config: string | undefined; readonly json: boolean }
  | { readonly name: 'pin'; readonly config: string | undefined; readonly json: boolean }
  | {
      readonly name: 'rotate-ca' | 'rotate-root'
      readonly config: string | undefined
      readonly json: boolean
      readonly finish: boolean
    }
  | { readonly name: 'backup'; readonly config: string | undefined; readonly out: string }
  | {
      readonly name: 'restore'
      readonly config: string | undefined
      readonly file: string
      readonly force: boolean
    }
  | { readonly name: 'openapi' }
  | { readonly name: 'version' }
  | { readonly name: 'help' }

/** 0 done; 1 it failed; 2 the command line or the configuration is wrong; 3 data of its own cannot be read. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, data: 3 } as const

export const usage = `mooring-controller: brings virtual machines into an Istio mesh

  mooring-controller run [--config FILE] [--json]     serve; prints url, pin and, at the first start, the
                                                      one-time enrolment code
  mooring-controller enrol [--config FILE] [--json]   a new one-time enrolment code for an administrator
  mooring-controller pin [--config FILE] [--json]     the pin and the CA file that agents trust
  mooring-controller rotate-ca [--finish]             another authority, beside the present one until --finish;
                                                      both take effect when the controller starts again, and in
                                                      Kubernetes mode at once
  mooring-controller rotate-root [--finish]           another root of the mesh, one step each time; it may run
                                                      meanwhile, and follows
  mooring-controller backup [--config FILE] --out FILE
                                                      database and keys, or what the cluster keeps for it, into
                                                      one file, which is secret; it may run meanwhile; - is standard
                                                      output
  mooring-controller restore [--config FILE] [--force] BACKUP
                                                      the reverse; it must not run, but may in Kubernetes mode; - is
                                                      standard input
  mooring-controller openapi                          the description of its interface (OpenAPI 3.1)
  mooring-controller version

Every option of the file can come from the environment, as MOORING_LISTEN or MOORING_MESH_TRUST_DOMAIN;
MOORING_CONFIG names the file itself.
Logs go to standard error as JSON lines.
`

/** Reads the command line. Throws `CONFIG_INVALID`. */
export function parseCommand(argv: readonly string[]): Command {
  let parsed: ReturnType<typeof read>
  try {
    parsed = read(argv)
  } catch (error) {
    throw new MooringError('CONFIG_INVALID', { detail: errorText(error), cause: error })
  }
  const { values, positionals } = parsed
  const [name, ...more] = positionals
  if (values.help || name === 'help') return { name: 'help' }
  if (more.length > (name === 'restore' ? 1 : 0))
    throw new MooringError('CONFIG_INVALID', { detail: `unexpected ${more.join(' ')}` })
  switch (name) {
    case 'run':
    case 'enrol':
    case 'pin':
      return { name, config: values.config, json: values.json ?? false }
    case 'rotate-ca':
    case 'rotate-root':
      return { name, config: values.config, json: values.json ?? false, finish: values.finish ?? false }
    case 'backup':
      if (values.out === undefined)
        throw new MooringError('CONFIG_INVALID', { detail: 'backup needs --out FILE' })
      return { name, config: values.config, out: values.out }
    case 'restore': {
      const [file] = more
      if (file === undefined) throw new MooringError('CONFIG_INVALID', { detail: 'restore needs a file' })
      return { name, config: values.config, file, force: values.force ?? false }
    }
    case 'openapi':
    case 'version':
      return { name }
    default:
      throw new MooringError('CONFIG_INVALID', {
        detail: name === undefined ? 'no command' : `no command ${name}`,
      })
  }
}

function read(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    strict: true,
    options: {
      config: { type: 'string', short: 'c' },
      json: { type: 'boolean' },
      out: { type: 'string' },
      force: { type: 'boolean' },
      finish: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
}

/** The exit code that fits an error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof MooringError)) return exitCodes.failed
  if (error.code === 'CONFIG_INVALID' || error.code === 'ISTIOD_MISSING') return exitCodes.usage
  return error.code === 'STORE_UNREADABLE' ? exitCodes.data : exitCodes.failed
}

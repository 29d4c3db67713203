import { MooringError } from '../../shared/errors.ts'
import type { Exec, ExecResult } from '../host/exec.ts'
import { lastLines } from '../sidecar/log-file.ts'
import { istioTables, nativeOlderScript } from './native-rules.ts'
import type { SavedRules, Variant } from './saved-rules.ts'

/** The programs that read and write the kernel's rules. */
export interface Iptables {
  /** What each family holds, of one variant or of all that are installed. */
  saved(variant: Variant | 'all', signal: AbortSignal): Promise<readonly SavedRules[]>
  /** Carries out a script against that which `saved` showed. */
  restore(shown: SavedRules, script: string, signal: AbortSignal): Promise<void>
  /** Runs `pilot-agent istio-iptables`. */
  istio(pilotAgent: string, args: readonly string[], variant: Variant, signal: AbortSignal): Promise<void>
}

export interface IptablesDeps {
  readonly exec: Exec
  /** @defaultValue the usual folders of system programs */
  readonly path?: string
}

/**
 * By itself it takes legacy tables for a wish to use them, though its own probing made them. Variables, and not the flags
 * that they stand for, because older releases refuse a flag they do not know.
 */
const variables: Readonly<Record<Variant, Readonly<Record<string, string>>>> = {
  nft: { FORCE_IPTABLES_BINARY: 'nft' },
  legacy: { FORCE_IPTABLES_BINARY: 'legacy' },
  plain: {},
  native: { NATIVE_NFTABLES: 'true' },
}

const families = ['iptables', 'ip6tables'] as const
const timeoutMs = 30_000
/**
 * Istio's program runs dozens of others. Ended in the middle of it, it leaves what it drops all TCP by while it mends
 * rules ("guardrails", tools/istio-iptables/pkg/capture/run.go): on a slow machine that is no time to be strict with.
 */
const istioMs = 300_000
const maxOutput = 8 * 2 ** 20

/** Calls the programs with an environment of their own. */
export function createIptables({ exec, path = '/usr/sbin:/usr/bin:/sbin:/bin' }: IptablesDeps): Iptables {
  // Every flag of istio-iptables is also a variable: an innocent DRY_RUN would undo all this.
  const run = (command: string, args: readonly string[], signal: AbortSignal, input?: string) =>
    exec(command, args, { env: { PATH: path }, timeoutMs, maxOutput, signal, ...(input && { input }) })

  const show = async (family: string, variant: Variant, signal: AbortSignal): Promise<SavedRules[]> => {
    const prefix = variant === 'plain' ? family : `${family}-${variant}`
    const { code, stdout } = await run(`${prefix}-save`, [], signal)
    return code === 0 ? [{ prefix, variant, text: stdout }] : []
  }

  /** Nothing where nft is not installed; an empty text where it is, and Istio has no table. */
  const showNative = async (signal: AbortSignal): Promise<readonly SavedRules[]> => {
    const { code, stdout } = await run('nft', ['list', 'tables'], signal)
    if (code !== 0) return []
    const tables = istioTables(stdout).map((name) => ['--stateless', 'list', 'table', 'inet', name])
    const texts = await Promise.all(tables.map(async (args) => (await run('nft', args, signal)).stdout))
    return [{ prefix: 'nft', variant: 'native', text: texts.join('') }]
  }

  const showEach = async (
    variants: readonly Variant[],
    signal: AbortSignal,
  ): Promise<readonly SavedRules[]> => {
    const pairs = families.flatMap((family) => variants.map((variant) => show(family, variant, signal)))
    return (await Promise.all(pairs)).flat()
  }

  return {
    async saved(variant, signal) {
      if (variant === 'native') return showNative(signal)
      if (variant !== 'all') return showEach([variant], signal)
      const [named, native] = await Promise.all([showEach(['nft', 'legacy'], signal), showNative(signal)])
      // The plain name is one of the two above, unless it is all there is.
      return [...(named.length > 0 ? named : await showEach(['plain'], signal)), ...native]
    },

    async restore({ prefix, variant }, script, signal) {
      if (variant === 'native') return check(prefix, await run(prefix, ['-f', '-'], signal, script))
      const program = `${prefix}-restore`
      check(program, await run(program, ['--noflush'], signal, script))
    },

    async istio(pilotAgent, args, variant, signal) {
      const env = { PATH: path, ...variables[variant] }
      check('istio-iptables', await exec(pilotAgent, args, { env, timeoutMs: istioMs, maxOutput, signal }))
      const isOver = variant === 'native' && !args.includes('--cleanup-only')
      if (isOver) check('nft', await run('nft', ['-f', '-'], signal, nativeOlderScript))
    },
  }
}

function check(name: string, { code, stdout, stderr, timedOut }: ExecResult): void {
  if (code === 0) return
  // It logs everything, at last the rules of the whole machine; what failed is somewhere before.
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => /\b(error|fatal|fail|cannot)/i.test(line))
  const said = lastLines(lines.length > 0 ? lines.join('\n') : stderr).slice(-3)
  const how = timedOut ? 'took too long' : `ended with ${code}`
  throw new MooringError('CAPTURE_FAILED', { detail: `${name} ${how}: ${said.join(' | ')}`.slice(0, 1500) })
}

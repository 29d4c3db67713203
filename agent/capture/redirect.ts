import { createHash } from 'node:crypto'
import { MooringError } from '../../shared/errors.ts'
import type { Exec, ExecResult } from '../host/exec.ts'
import { lastLines } from '../sidecar/log-file.ts'
import type { AppliedFile } from './applied.ts'
import type { CaptureRules } from './rules.ts'
import { ownRules, removalScript } from './saved-rules.ts'

/** The traffic rules in the kernel. Calls are done one after the other; each may be repeated. */
export interface Redirect {
  /** Whether the kernel has exactly what these rules made of it. */
  verify(rules: CaptureRules, signal: AbortSignal): Promise<boolean>
  /** Makes it so; `pilotAgent` is the program that does it. */
  apply(pilotAgent: string, rules: CaptureRules, signal: AbortSignal): Promise<void>
  /** Takes everything back, also what is half there, also when `pilotAgent` is gone. */
  undo(pilotAgent: string | undefined, signal: AbortSignal): Promise<void>
}

export interface RedirectDeps {
  readonly exec: Exec
  readonly appliedFile: AppliedFile
  /** @defaultValue the usual folders of system programs */
  readonly path?: string
}

/** What a program of the iptables family says is in the kernel. */
interface Shown {
  readonly program: string
  readonly text: string
}

const timeoutMs = 30_000
const maxOutput = 8 * 2 ** 20
/** istio-iptables chooses a variant by what the kernel holds already (pkg/dependencies): all are looked at. */
const families = ['iptables', 'ip6tables'] as const

/** Sets and removes the rules by Istio's own program. */
export function createRedirect(deps: RedirectDeps): Redirect {
  const { exec, appliedFile, path = '/usr/sbin:/usr/bin:/sbin:/bin' } = deps
  let queue: Promise<unknown> = Promise.resolve()

  const inTurn = <T>(fn: () => Promise<T>): Promise<T> => {
    const result = queue.then(fn)
    queue = result.catch(() => {})
    return result
  }

  // Nothing but PATH: every flag of istio-iptables is also a variable, and an innocent DRY_RUN would undo all this.
  const run = (command: string, args: readonly string[], signal: AbortSignal, input?: string) =>
    exec(command, args, { env: { PATH: path }, timeoutMs, maxOutput, signal, ...(input && { input }) })

  const show = async (program: string, signal: AbortSignal): Promise<Shown | undefined> => {
    const { code, stdout } = await run(program, [], signal)
    return code === 0 ? { program, text: stdout } : undefined
  }

  /** What each variant of iptables that is installed holds. */
  const showAll = async (signal: AbortSignal): Promise<readonly Shown[]> => {
    const shown = await Promise.all(families.map((family) => showFamily(family, signal)))
    return shown.flat()
  }

  const showFamily = async (family: string, signal: AbortSignal): Promise<readonly Shown[]> => {
    const variants = await Promise.all(['-nft', '-legacy'].map((one) => show(`${family}${one}-save`, signal)))
    const found = variants.filter((one) => one !== undefined)
    if (found.length > 0) return found
    // Where only the plain name is installed it is not one of the two above.
    const plain = await show(`${family}-save`, signal)
    return plain === undefined ? [] : [plain]
  }

  const undo = async (pilotAgent: string | undefined, signal: AbortSignal): Promise<void> => {
    const applied = await appliedFile.read()
    const interfaces = applied === undefined ? [] : interfacesOf(applied)
    const left = async () =>
      (await showAll(signal)).flatMap(({ program, text }) => {
        const script = removalScript(text, interfaces)
        return script === undefined ? [] : [{ restore: program.replace(/-save$/, '-restore'), script }]
      })
    if (applied !== undefined && pilotAgent !== undefined && (await left()).length > 0) {
      await run(pilotAgent, applied.cleanup, signal)
    }
    for (const { restore, script } of await left()) {
      await must(run(restore, ['--noflush'], signal, script), restore)
    }
    if ((await left()).length > 0)
      throw new MooringError('CAPTURE_FAILED', { detail: 'rules cannot be removed' })
    await appliedFile.remove()
  }

  return {
    verify: (rules, signal) =>
      inTurn(async () => {
        const applied = await appliedFile.read()
        if (applied === undefined || applied.digest === '' || !sameRules(applied, rules)) return false
        const shown = await Promise.all(applied.shownBy.map((program) => show(program, signal)))
        return (
          digestOf(
            shown.filter((one) => one !== undefined),
            rules,
          ).digest === applied.digest
        )
      }),

    apply: (pilotAgent, rules, signal) =>
      inTurn(async () => {
        const before = await appliedFile.read()
        // Other arguments would leave behind what only the old ones know.
        if (before !== undefined && !sameRules(before, rules)) await undo(pilotAgent, signal)
        const intention = { apply: [...rules.apply], cleanup: [...rules.cleanup] }
        await appliedFile.write({ ...intention, digest: '', shownBy: [] })
        await must(run(pilotAgent, rules.apply, signal), 'istio-iptables')
        const result = digestOf(await showAll(signal), rules)
        if (result.digest === '')
          throw new MooringError('CAPTURE_FAILED', { detail: 'no rule is there afterwards' })
        await appliedFile.write({ ...intention, ...result })
      }),

    undo: (pilotAgent, signal) => inTurn(() => undo(pilotAgent, signal)),
  }
}

async function must(result: Promise<ExecResult>, name: string): Promise<void> {
  const { code, stdout, stderr, timedOut } = await result
  if (code === 0) return
  // istio-iptables logs to standard output, and its last lines are the rules of the whole machine.
  const errors = lastLines(`${stdout}\n${stderr}`).filter((line) =>
    /error|fail|fatal|cannot|not found/i.test(line),
  )
  const said = (errors.length > 0 ? errors : lastLines(stderr)).slice(-3).join(' | ')
  const how = timedOut ? 'took too long' : `ended with ${code}`
  throw new MooringError('CAPTURE_FAILED', { detail: `${name} ${how}: ${said}`.slice(0, 1500) })
}

function digestOf(shown: readonly Shown[], rules: CaptureRules): { digest: string; shownBy: string[] } {
  const own = shown
    .map(({ program, text }) => ({ program, rules: ownRules(text, interfacesOf(rules)) }))
    .filter((one) => one.rules.length > 0)
  const digest = own.length === 0 ? '' : createHash('sha256').update(JSON.stringify(own)).digest('hex')
  return { digest, shownBy: own.map(({ program }) => program) }
}

function sameRules(a: Pick<CaptureRules, 'apply'>, b: CaptureRules): boolean {
  return JSON.stringify(a.apply) === JSON.stringify(b.apply)
}

function interfacesOf({ apply }: Pick<CaptureRules, 'apply'>): readonly string[] {
  const at = apply.indexOf('-c')
  return at < 0 ? [] : (apply[at + 1] ?? '').split(',')
}

import { createHash } from 'node:crypto'
import { MooringError } from '../../shared/errors.ts'
import type { Applied, AppliedFile } from './applied.ts'
import type { Iptables } from './iptables.ts'
import { beforeIstio, ownRulesIn, removalOf } from './native-rules.ts'
import type { CaptureRules } from './rules.ts'
import {
  chooseVariant,
  guardrailsIn,
  liftScript,
  type SavedRules,
  type Variant,
  variants,
} from './saved-rules.ts'

/** The traffic rules in the kernel. Calls are done one after the other; each may be repeated. */
export interface Redirect {
  /** Whether the kernel has exactly what these rules made of it. */
  verify(rules: CaptureRules, signal: AbortSignal): Promise<boolean>
  /**
   * Does beforehand what `apply` has to know and to write down; nothing changes in the kernel. One `apply` uses it: what
   * was seen of the rules must not be older than the start of a sidecar.
   */
  prepare(rules: CaptureRules, signal: AbortSignal): Promise<void>
  /** Makes it so; `pilotAgent` is the program that does it. */
  apply(pilotAgent: string, rules: CaptureRules, signal: AbortSignal): Promise<void>
  /** Takes everything back, also what is half there, also when `pilotAgent` is gone. */
  undo(pilotAgent: string, signal: AbortSignal): Promise<void>
}

/** What is known and written down before the rules may be set. */
interface Prepared {
  readonly intention: Applied
  readonly found: readonly SavedRules[]
}

export interface RedirectDeps {
  readonly iptables: Iptables
  readonly appliedFile: AppliedFile
}

/** Longest time to take Istio's guardrails away, also when everything else is told to stop. */
const liftMs = 30_000

/** Sets the rules by Istio's own program, and remembers what came of it. */
export function createRedirect({ iptables, appliedFile }: RedirectDeps): Redirect {
  let queue: Promise<unknown> = Promise.resolve()
  let prepared: Prepared | undefined
  const inTurn = <T>(fn: () => Promise<T>): Promise<T> => {
    const result = queue.then(fn)
    queue = result.catch(() => {})
    return result
  }

  /** Digest of the rules that a variant holds; empty when there is none. */
  const digest = async (rules: CaptureRules, variant: Variant, signal: AbortSignal): Promise<string> =>
    digestOf(await iptables.saved(variant, signal), rules)

  /** What came of it, wherever it came: older releases choose the variant by themselves. */
  const result = async (
    rules: CaptureRules,
    asked: Variant,
    signal: AbortSignal,
  ): Promise<{ variant: Variant; digest: string }> => {
    for (const variant of [asked, ...variants.filter((other) => other !== asked)]) {
      const found = await digest(rules, variant, signal)
      if (found !== '') return { variant, digest: found }
    }
    throw new MooringError('CAPTURE_FAILED', { detail: 'no rule is there afterwards' })
  }

  const remaining = async (interfaces: readonly string[], signal: AbortSignal) =>
    (await iptables.saved('all', signal)).flatMap((shown) => {
      const script = removalOf(shown, interfaces)
      return script === undefined ? [] : [{ shown, script }]
    })

  /** Takes away the guardrails of a run that came to no end: they cut the machine off, SSH included. */
  const lift = async (begun: Applied): Promise<void> => {
    const { drops } = begun
    if (begun.digest !== '' || drops === undefined) return
    const signal = AbortSignal.timeout(liftMs)
    for (const one of await iptables.saved(begun.variant, signal)) {
      const script = one.variant === 'native' ? undefined : liftScript(one.text, drops[one.prefix] ?? [])
      if (script !== undefined) await iptables.restore(one, script, signal)
    }
  }

  const undo = async (pilotAgent: string, signal: AbortSignal): Promise<void> => {
    prepared = undefined
    const applied = await appliedFile.read()
    if (applied !== undefined) await lift(applied)
    const interfaces = applied === undefined ? [] : interfacesOf(applied)
    if (applied !== undefined && (await remaining(interfaces, signal)).length > 0) {
      // What it leaves behind, or cannot do because it is gone, is done below.
      await iptables.istio(pilotAgent, applied.cleanup, applied.variant, signal).catch(() => {
        signal.throwIfAborted()
      })
    }
    for (const { shown, script } of await remaining(interfaces, signal)) {
      await iptables.restore(shown, script, signal)
    }
    if ((await remaining(interfaces, signal)).length > 0) {
      throw new MooringError('CAPTURE_FAILED', { detail: 'some rules come back after they are removed' })
    }
    await appliedFile.remove()
  }

  /** Written before the deed: an agent that is killed in it leaves word of what it was about to do. */
  const intend = async (
    rules: CaptureRules,
    variant: Variant,
    found: readonly SavedRules[],
  ): Promise<Applied> => {
    const { apply, cleanup, basis } = rules
    const drops = Object.fromEntries(found.map((one) => [one.prefix, [...guardrailsIn(one.text)]]))
    const intention: Applied = { apply: [...apply], cleanup: [...cleanup], basis, variant, digest: '', drops }
    await appliedFile.write(intention)
    return intention
  }

  const begin = async (pilotAgent: string, rules: CaptureRules, signal: AbortSignal): Promise<Prepared> => {
    const before = await appliedFile.read()
    if (before !== undefined) await lift(before)
    let found = await iptables.saved('all', signal)
    const variant = chooseVariant(found)
    // Other arguments would leave behind what only the old ones know.
    if (before !== undefined && !sameRules(before, rules)) {
      await undo(pilotAgent, signal)
      found = await iptables.saved(variant, signal)
    }
    return { found, intention: await intend(rules, variant, found) }
  }

  return {
    verify: (rules, signal) =>
      inTurn(async () => {
        const applied = await appliedFile.read()
        if (applied === undefined || applied.digest === '' || !sameRules(applied, rules)) return false
        return (await digest(rules, applied.variant, signal)) === applied.digest
      }),

    prepare: (rules, signal) =>
      inTurn(async () => {
        prepared = undefined
        const before = await appliedFile.read()
        if (before !== undefined) await lift(before)
        const found = await iptables.saved('all', signal)
        // Other rules are undone first, and those that are in force need nothing.
        if (before !== undefined && !sameRules(before, rules)) return
        const variant = chooseVariant(found)
        const now = digestOf(
          found.filter((one) => one.variant === before?.variant),
          rules,
        )
        if (before !== undefined && now !== '' && now === before.digest) return
        prepared = { found, intention: await intend(rules, variant, found) }
      }),

    apply: (pilotAgent, rules, signal) =>
      inTurn(async () => {
        const known = prepared
        prepared = undefined
        const { found, intention } =
          known !== undefined && sameRules(known.intention, rules)
            ? known
            : await begin(pilotAgent, rules, signal)
        const { variant } = intention
        // Before Istio's, which are appended: from the first captured packet on it must be told from older ones.
        const shown = found.filter((one) => one.variant === variant)
        await Promise.all(
          shown.map(async (one) => {
            const script = beforeIstio(one)
            if (script !== undefined) await iptables.restore(one, script, signal)
          }),
        )
        try {
          await iptables.istio(pilotAgent, rules.apply, variant, signal)
        } catch (error) {
          // What it came to is the error; that this failed too is found at the next try.
          await lift(intention).catch(() => {})
          throw error
        }
        await appliedFile.write({ ...intention, ...(await result(rules, variant, signal)) })
      }),

    undo: (pilotAgent, signal) => inTurn(() => undo(pilotAgent, signal)),
  }
}

/** Digest of the rules of ours in what the programs showed; empty when there is none. */
function digestOf(shown: readonly SavedRules[], rules: Pick<CaptureRules, 'apply'>): string {
  const own = shown.map((one) => [one.prefix, ownRulesIn(one, interfacesOf(rules))] as const)
  if (own.every(([, list]) => list.length === 0)) return ''
  return createHash('sha256').update(JSON.stringify(own)).digest('hex')
}

function sameRules(
  a: Pick<CaptureRules, 'apply' | 'basis'>,
  b: Pick<CaptureRules, 'apply' | 'basis'>,
): boolean {
  return a.basis === b.basis && JSON.stringify(a.apply) === JSON.stringify(b.apply)
}

function interfacesOf({ apply }: Pick<CaptureRules, 'apply'>): readonly string[] {
  const at = apply.indexOf('-c')
  return at < 0 ? [] : (apply[at + 1] ?? '').split(',')
}

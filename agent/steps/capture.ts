import { join } from 'node:path'
import type { Bundle } from '../../shared/api/bundle.ts'
import type { Clock } from '../../shared/clock.ts'
import type { Redirect } from '../capture/redirect.ts'
import { type CaptureFacts, type CaptureRules, captureRules } from '../capture/rules.ts'
import type { CaptureWatchdog } from '../capture/watchdog.ts'
import type { Effects } from '../effects.ts'
import { type SidecarPaths, sidecarFiles } from '../sidecar/paths.ts'
import type { Step } from './step.ts'

export interface CaptureStepDeps {
  readonly redirect: Redirect
  readonly watchdog: Pick<CaptureWatchdog, 'opened' | 'closed'>
  readonly facts: () => Promise<CaptureFacts>
  readonly paths: Pick<SidecarPaths, 'current'>
  readonly clock: Clock
  readonly effects: Effects
  /** How old a look at the kernel may be: each costs a few processes. @defaultValue 15 s */
  readonly verifyEveryMs?: number
}

/** The step `capture`, which can be prepared before it may be taken. */
export interface CaptureStep extends Step {
  /** Finds out and writes down what `apply` needs; nothing is captured by it. */
  prepare(bundle: Bundle, signal: AbortSignal): Promise<void>
}

/** Leads the VM's traffic through the sidecar. It follows `ready`: what is captured must have somewhere to go. */
export function createCaptureStep(deps: CaptureStepDeps): CaptureStep {
  const { redirect, watchdog, clock, effects, verifyEveryMs = 15_000 } = deps
  const pilotAgent = join(deps.paths.current, sidecarFiles.pilotAgent)
  const rulesOf = async (bundle: Bundle) => captureRules(bundle, await deps.facts())
  let known: { readonly key: string; readonly at: number } | undefined

  const keyOf = (bundle: Bundle, rules: CaptureRules) => JSON.stringify([bundle.capture.enabled, rules])
  const remember = (bundle: Bundle, rules: CaptureRules) => {
    known = { key: keyOf(bundle, rules), at: clock.now() }
  }

  return {
    name: 'capture',
    condition: 'TrafficCaptured',
    // Once the rules are gone the kernel translates no connection any more: a caller whose request is cut would not hear
    // the end of Envoy, and wait for ever.
    undoneAfter: 'sidecar',

    async prepare(bundle, signal) {
      if (bundle.capture.enabled) await redirect.prepare(await rulesOf(bundle), signal)
    },

    async check(bundle, signal) {
      if (watchdog.opened) return false
      const rules = await rulesOf(bundle)
      if (known?.key === keyOf(bundle, rules) && clock.now() - known.at < verifyEveryMs) return true
      // Not captured on purpose: `apply` finds out, cheaply, whether anything is left of an earlier wish.
      if (!bundle.capture.enabled || !(await redirect.verify(rules, signal))) return false
      remember(bundle, rules)
      return true
    },

    async apply(bundle, signal) {
      known = undefined
      const rules = await rulesOf(bundle)
      if (bundle.capture.enabled) {
        await effects.run('capture-applied', () => redirect.apply(pilotAgent, rules, signal))
      } else {
        await redirect.undo(pilotAgent, signal)
      }
      watchdog.closed()
      remember(bundle, rules)
    },

    async undo(signal) {
      known = undefined
      await effects.run('capture-undone', () => redirect.undo(pilotAgent, signal))
    },
  }
}

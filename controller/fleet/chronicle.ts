import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Audit, AuditEntry } from '../audit.ts'
import type { Metrics } from '../metrics.ts'
import type { VmRecord } from '../store/records.ts'
import type { Census, Guard } from './guard.ts'

/** Tells log, metrics and audit what happened to VMs. */
export interface Chronicle {
  /** A VM's record was written. */
  written(vm: string, before: VmRecord, after: VmRecord): void
  /** Nobody else serves what this VM served: requests will fail, and nobody must wonder why. */
  lastEndpoint(vm: string, record: VmRecord, action: 'vm.drain' | 'vm.restart'): void
  /** A second machine opened a stream with the identity of a live VM, and was refused. */
  cloned(vm: string, newcomer: { readonly address: string }): void
  /** A VM did not get ready with what it was given, and no other VM of its pool takes it. */
  halted(vm: string, record: VmRecord, why: string): void
  /** The guard began or ended to hold. */
  guard(guard: Guard, census: Census): void
}

export interface ChronicleDeps {
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: Pick<Audit, 'record'>
}

export function createChronicle(deps: ChronicleDeps): Chronicle {
  const { log, metrics, audit } = deps

  function record(entry: AuditEntry): void {
    audit.record(entry).catch((error: unknown) => {
      log.error('an audit record was not written', { action: entry.action, error: errorText(error) })
    })
  }

  const done = (actor: string, action: string, vm: string, detail: string) =>
    record({ actor, action, target: `vm/${vm}`, outcome: 'done', detail })

  return {
    written(vm, before, after) {
      if (after.drain !== undefined && after.drain.by === `vm:${vm}` && before.drain?.by !== after.drain.by) {
        done(`vm:${vm}`, 'vm.drain', vm, `${after.drain.reason}, then ${after.drain.after}`)
      }
      const result = drainResult(before, after)
      if (result !== undefined) {
        metrics.count('mooring_drains_total', { result })
        log.info('a drain ended', { vm, pool: after.pool, result })
        const found = after.conditions.find((c) => c.type === 'Drained')
        done('controller', 'vm.drained', vm, found?.message ?? result)
      }
      if (before.update !== undefined && after.update === undefined) {
        done('controller', 'vm.updated', vm, `runs sidecar ${after.artifact?.version}`)
      }
      if (before.phase === after.phase) return
      metrics.count('mooring_transitions_total', { from: before.phase, to: after.phase })
      log.info('a VM changed phase', { vm, pool: after.pool, from: before.phase, to: after.phase })
      if (after.phase === 'lost') {
        metrics.count('mooring_vanished_total', { pool: after.pool })
        done('controller', 'vm.lost', vm, `not heard from in time; it was ${before.phase}`)
      }
      if (after.phase === 'left') done('controller', 'vm.left', vm, leaving(before, after))
    },
    lastEndpoint(vm, { pool, drain }, action) {
      log.warn('the last endpoint of a service closes', { vm, pool, action, by: drain?.by })
      done('controller', action, vm, 'the last endpoint of its service: requests fail until another is ready')
    },
    cloned(vm, { address }) {
      metrics.count('mooring_clones_total', {})
      log.error('another machine shows the identity of a live VM', { vm, address })
      const target = `vm/${vm}`
      record({
        actor: 'anonymous',
        action: 'stream',
        target,
        outcome: 'denied',
        code: 'CLONE_DETECTED',
        address,
      })
    },
    halted(vm, { pool, artifact }, why) {
      const version = artifact?.version
      metrics.count('mooring_rollouts_halted_total', { pool })
      log.error('a sidecar version did not get ready, its rollout is halted', { vm, pool, version, why })
      const detail = `sidecar ${version} on ${vm}: ${why}`
      record({ actor: 'controller', action: 'rollout.halt', target: `pool/${pool}`, outcome: 'done', detail })
      done('controller', 'vm.taken-back', vm, `sidecar ${version}: ${why}`)
    },
    guard(guard, census) {
      metrics.set('mooring_closing_held', {}, guard.holding ? 1 : 0)
      const detail = `${census.silent} of ${census.total} VMs silent`
      record({
        actor: 'controller',
        action: guard.holding ? 'guard.hold' : 'guard.release',
        target: 'fleet',
        outcome: 'done',
        detail,
      })
      if (guard.holding) log.error('mass loss is not believed, closing is held', { ...census })
      else log.warn('mass loss is over, closing is not held any more', { ...census })
    },
  }
}

function drainResult(before: VmRecord, after: VmRecord): 'quiet' | 'deadline' | 'silent' | undefined {
  const old = before.conditions.find((c) => c.type === 'Drained')
  const now = after.conditions.find((c) => c.type === 'Drained')
  if (now === undefined || now.status === old?.status) return undefined
  if (now.status === 'False') return 'silent'
  return now.reason === 'Quiet' ? 'quiet' : 'deadline'
}

function leaving(before: VmRecord, after: VmRecord): string {
  if (after.revoked !== undefined) return `removed by ${after.revoked.by}`
  if (before.phase === 'lost') return 'not heard from for the whole grace period'
  if (before.drain !== undefined) return `drained: ${before.drain.reason}, wished by ${before.drain.by}`
  return 'its agent said so'
}

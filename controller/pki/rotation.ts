import 'reflect-metadata'
import { BasicConstraintsExtension } from '@peculiar/x509'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { VmRecord } from '../store/records.ts'
import type { AuthorityKeep } from './authority-keep.ts'
import { certifySuccessor, makePair, pairText, pinOf, readAuthority } from './authority-pair.ts'

export interface RotationDeps {
  readonly keep: AuthorityKeep
  readonly clock: Clock
  /** Ends a wait for where the authority is kept. */
  readonly signal?: AbortSignal
}

/** The pins of both authorities of a rotation. */
export interface RotationPins {
  readonly pin: string
  readonly pinBefore: string
}

/**
 * Makes another authority, certified by the one it replaces: who trusts the old one is served as before until
 * `finishRotation`. Throws `CONFLICT` while one lasts.
 */
export async function rotateAuthority({ keep, clock, signal }: RotationDeps): Promise<RotationPins> {
  const { current, isRotating, version } = await presentIn(keep, signal)
  if (isRotating) throw new MooringError('CONFLICT', { detail: 'a rotation lasts already; finish it first' })
  if (current.certificate.getExtension(BasicConstraintsExtension)?.pathLength === 0) {
    throw new MooringError('CONFLICT', {
      detail: `this authority was made by an earlier version and may certify no other. Put ${keep.place} aside and start the controller: it makes a new one. Agents and the CLI trust that only when they are given its pin (mooring-controller pin); certificates that agents hold are renewed by a new join`,
    })
  }
  const next = await makePair(clock)
  const successor = await certifySuccessor(current, next.certificate, clock)
  await keep.write({ current: pairText(next), before: pairText({ ...current, successor }) }, version, signal)
  return { pin: pinOf(next.certificate), pinBefore: pinOf(current.certificate) }
}

/**
 * Forgets the authority before the present one. Throws `TOO_EARLY` while VMs hold a certificate of it, which end by
 * themselves within `certificates.agentTtlSeconds`.
 */
export async function finishRotation(
  { keep, clock, signal }: RotationDeps,
  vms: Iterable<VmRecord>,
): Promise<{ readonly pin: string }> {
  const { current, isRotating, version } = await presentIn(keep, signal)
  if (!isRotating) throw new MooringError('NOT_FOUND', { detail: 'no rotation lasts' })
  const pin = pinOf(current.certificate)
  const holders = holdersOfOthers(vms, pin, clock.now())
  if (holders.length > 0) {
    const until = Math.max(...holders.map((vm) => vm.certificateExpiresAt))
    throw new MooringError('TOO_EARLY', {
      detail: `${holders.length} VMs hold a certificate of the old authority, the last until ${new Date(until).toISOString()}`,
    })
  }
  await keep.write({ current: pairText(current) }, version, signal)
  return { pin }
}

function holdersOfOthers(vms: Iterable<VmRecord>, pin: string, now: number): readonly VmRecord[] {
  return [...vms].filter((vm) => {
    return hasEntry(vm.phase) && vm.certificateExpiresAt > now && vm.certificateIssuer !== pin
  })
}

async function presentIn(keep: AuthorityKeep, signal: AbortSignal | undefined) {
  const kept = await keep.read(signal)
  if (kept === undefined)
    throw new MooringError('NOT_FOUND', { detail: `${keep.place}: it was never started` })
  return { ...(await readAuthority(kept, keep.place)), version: kept.version }
}

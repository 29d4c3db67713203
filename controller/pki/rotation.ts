import 'reflect-metadata'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BasicConstraintsExtension } from '@peculiar/x509'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import type { VmRecord } from '../store/records.ts'
import { authorityFiles } from './authority.ts'
import { certifySuccessor, makePair, pairText, pemOf, pinOf, readPair } from './authority-pair.ts'

export interface RotationDeps {
  /** The authority's folder. */
  readonly folder: string
  readonly clock: Clock
}

/** The pins of both authorities of a rotation. */
export interface RotationPins {
  readonly pin: string
  readonly pinBefore: string
}

/**
 * Makes another authority, certified by the one it replaces: it is in force from the controller's next start,
 * and who trusts the old one is served as before until `finishRotation`. Throws `CONFLICT` while one lasts.
 */
export async function rotateAuthority({ folder, clock }: RotationDeps): Promise<RotationPins> {
  const [currentFile, beforeFile] = filesIn(folder)
  const current = await readPair(currentFile)
  if (current === undefined)
    throw new MooringError('NOT_FOUND', { detail: `${currentFile}: it was never started` })
  if (await isRotating(folder)) {
    throw new MooringError('CONFLICT', { detail: 'a rotation lasts already; finish it first' })
  }
  if (current.certificate.getExtension(BasicConstraintsExtension)?.pathLength === 0) {
    throw new MooringError('CONFLICT', {
      detail: `this authority was made by an earlier version and may certify no other. Put ${currentFile} aside and start the controller: it makes a new one. Agents and the CLI trust that only when they are given its pin (mooring-controller pin); certificates that agents hold are renewed by a new join`,
    })
  }
  const next = await makePair(clock)
  const successor = await certifySuccessor(current, next.certificate, clock)
  // In this order: cut short in between, the authority is its own predecessor, which counts as none.
  await writeAtomic(beforeFile, pairText({ ...current, successor }), 0o600)
  await writeAtomic(currentFile, pairText(next), 0o600)
  return { pin: pinOf(next.certificate), pinBefore: pinOf(current.certificate) }
}

/**
 * Forgets the authority before the present one, from the controller's next start. Throws `TOO_EARLY` while VMs
 * hold a certificate of it, which end by themselves within `certificates.agentTtlSeconds`.
 */
export async function finishRotation(
  { folder, clock }: RotationDeps,
  vms: Iterable<VmRecord>,
): Promise<{ readonly pin: string }> {
  const [currentFile, beforeFile] = filesIn(folder)
  const current = await readPair(currentFile)
  if (current === undefined || !(await isRotating(folder))) {
    throw new MooringError('NOT_FOUND', { detail: 'no rotation lasts' })
  }
  const pin = pinOf(current.certificate)
  const holders = holdersOfOthers(vms, pin, clock.now())
  if (holders.length > 0) {
    const until = Math.max(...holders.map((vm) => vm.certificateExpiresAt))
    throw new MooringError('TOO_EARLY', {
      detail: `${holders.length} VMs hold a certificate of the old authority, the last until ${new Date(until).toISOString()}`,
    })
  }
  await rm(beforeFile, { force: true })
  return { pin }
}

function holdersOfOthers(vms: Iterable<VmRecord>, pin: string, now: number): readonly VmRecord[] {
  return [...vms].filter((vm) => {
    return hasEntry(vm.phase) && vm.certificateExpiresAt > now && vm.certificateIssuer !== pin
  })
}

async function isRotating(folder: string): Promise<boolean> {
  const [current, before] = await Promise.all(filesIn(folder).map(readPair))
  if (current === undefined || before === undefined) return false
  return pemOf(current.certificate) !== pemOf(before.certificate)
}

function filesIn(folder: string): readonly [string, string] {
  return [join(folder, authorityFiles.current), join(folder, authorityFiles.before)]
}

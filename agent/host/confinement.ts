import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Confinement } from './denial.ts'

/** Finds out which security module confines this process (selinux(8), apparmor(7)); nothing where none does. */
export function readConfinement(proc = '/proc', sys = '/sys'): Confinement {
  const context = read(join(proc, 'self/attr/current'))
  if (read(join(sys, 'fs/selinux/enforce')) === '1') return { selinux: context ?? 'of an unknown context' }
  const profile = read(join(proc, 'self/attr/apparmor/current')) ?? context
  const enforced = /^(.{1,256}) \(enforce\)$/.exec(profile ?? '')?.[1]
  return enforced === undefined ? {} : { apparmor: enforced }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/[\0\s]+$/, '')
  } catch {
    return undefined
  }
}

/** System errors of a file that may not be written. */
export const writeDenials = ['EROFS', 'EACCES', 'EPERM'] as const

/** What confines this process, as far as the kernel says. */
export interface Confinement {
  /** The process's context, where SELinux enforces. */
  readonly selinux?: string
  /** The AppArmor profile that is enforced on the process. */
  readonly apparmor?: string
}

/** What a refusal of the kernel may come from, in words, with how to see it. */
export function explainDenial(
  errno: (typeof writeDenials)[number],
  { selinux, apparmor }: Confinement,
): string {
  if (errno === 'EROFS') return 'the file system is read-only'
  const refused = errno === 'EACCES' ? 'permission denied' : 'operation not permitted'
  if (selinux !== undefined) {
    return `${refused}; SELinux enforces, and this process is ${selinux}: see ausearch -m avc -ts recent`
  }
  if (apparmor !== undefined) {
    return `${refused}; the AppArmor profile ${apparmor} confines this process: see journalctl -k --grep apparmor`
  }
  return refused
}

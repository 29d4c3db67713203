import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * No router answers on the testbed's networks, and networkd would count a machine as online only when it has given up
 * asking for one. cloud-init's renderer does not hand on `accept-ra` for fixed addresses.
 */
export const cardSettings = '[Network]\nIPv6AcceptRA=no\n'

/** Nobody logs in at a console, where a container has none; the others only cost an emulated processor time. */
export const idleUnits: readonly string[] = [
  'console-getty.service',
  'getty@tty1.service',
  'systemd-binfmt.service',
  'systemd-pstore.service',
]

/** Puts what the testbed alone needs into the file system of a machine, which is off. */
export async function fitIntoTestbed(root: string): Promise<void> {
  for (const card of ['eth0', 'eth1']) {
    const file = join(root, `etc/systemd/network/10-cloud-init-${card}.network.d/testbed.conf`)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, cardSettings)
  }
  const units = join(root, 'etc/systemd/system')
  await mkdir(units, { recursive: true })
  for (const unit of idleUnits) await symlink('/dev/null', join(units, unit))
}

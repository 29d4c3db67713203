import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

// No router answers on the testbed's networks, and networkd would count a machine as online only when it has given up
// asking for one. cloud-init's renderer does not hand on `accept-ra` for fixed addresses.
const noRouters = '[Network]\nIPv6AcceptRA=no\n'

/** Puts what the testbed alone needs into the file system of a machine, which is off. */
export async function fitIntoTestbed(root: string): Promise<void> {
  for (const card of ['eth0', 'eth1']) {
    const file = join(root, `etc/systemd/network/10-cloud-init-${card}.network.d/testbed.conf`)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, noRouters)
  }
  // Nobody logs in at the console of a container, and its getty would fail again and again for want of one.
  const units = join(root, 'etc/systemd/system')
  await mkdir(units, { recursive: true })
  await symlink('/dev/null', join(units, 'console-getty.service'))
}

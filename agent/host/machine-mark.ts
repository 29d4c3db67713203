import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { MachineMark } from '../join/belonging.ts'
import { readBounded } from './files.ts'

/** What tells this machine from others: systemd's machine-id(5), and the instance that cloud-init saw at this boot. */
export async function readMachineMark(root: string): Promise<MachineMark> {
  const [machineId, instanceId] = await Promise.all([
    firstLine(join(root, 'etc/machine-id')),
    firstLine(join(root, 'var/lib/cloud/data/instance-id')),
  ])
  return {
    // machine-id(5): keep it confidential, and hand on only what was hashed with a key of one's own.
    ...(/^[0-9a-f]{32}$/.test(machineId) && { machineId: hash(machineId) }),
    // cloud-init found no source of its data at this boot: it says nothing of the machine.
    ...(!['', 'iid-datasource-none'].includes(instanceId) && { instanceId: instanceId.slice(0, 256) }),
  }
}

function hash(machineId: string): string {
  return createHash('sha256').update(`mooring-agent ${machineId}`).digest('hex')
}

async function firstLine(path: string): Promise<string> {
  const text = await readBounded(path, 4096).catch(() => undefined)
  return text?.split('\n')[0]?.trim() ?? ''
}

import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'

/** Folders of system programs: systemd and cron give services less than these. */
export const programFolders = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const

/** Whether a program is installed and may be run. */
export async function hasProgram(name: string): Promise<boolean> {
  for (const folder of programFolders) {
    try {
      await access(join(folder, name), constants.X_OK)
      return true
    } catch {
      // The next folder may have it.
    }
  }
  return false
}

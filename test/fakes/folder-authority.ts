import { type Authority, createAuthority } from '../../controller/pki/authority.ts'
import { createAuthorityFolder } from '../../controller/pki/authority-folder.ts'
import type { Clock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'

/** The controller's authority in a folder, as the standalone mode has it. */
export function folderAuthority({
  folder,
  clock,
}: {
  readonly folder: string
  readonly clock: Clock
}): Promise<Authority> {
  return createAuthority({
    keep: createAuthorityFolder(folder),
    clock,
    log: silentLog,
    random: Math.random,
  })
}

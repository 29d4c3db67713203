import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

// Root's PATH in a container or under `su` often lacks the sbin folders, where ip and iptables live.
const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** `PATH` with the system's folders in it, for the processes the testbed starts. */
export function fullPath(path: string | undefined): string {
  const given = (path ?? '').split(delimiter).filter((folder) => folder !== '')
  return [...given, ...systemFolders.filter((folder) => !given.includes(folder))].join(delimiter)
}

/** The absolute path of a program, or `undefined` where there is none of that name. */
export async function onPath(program: string, path = process.env.PATH): Promise<string | undefined> {
  for (const folder of fullPath(path).split(delimiter)) {
    const candidate = join(folder, program)
    const found = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return candidate
  }
  return undefined
}

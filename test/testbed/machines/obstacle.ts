import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { runCommand } from '../command.ts'
import { onPath } from '../on-path.ts'

/** Why this machine cannot boot others, in a person's words; `undefined` when it can. */
export async function machinesObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `they need Linux, and this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'they need root'
  if ((await onPath('apt-get')) === undefined)
    return 'their Debian is made from its packages, and there is no apt-get'
  const targets = await runCommand('apt-get', ['indextargets', '--format', '$(REPO_URI)'])
  if (!/debian/i.test(targets.stdout)) return "apt on this machine has no source of Debian's own"
  const systems = await readFile('/proc/filesystems', 'utf8').catch(() => '')
  // A module that is not loaded yet may be loaded.
  if (!systems.includes('\toverlay\n') && (await runCommand('modprobe', ['overlay'])).code !== 0)
    return 'this kernel has no overlay file system'
  const mounted = await runCommand('unshare', ['--mount', '--', 'mount', '-t', 'cgroup2', 'cgroup2', '/mnt'])
  if (mounted.code !== 0) return `control groups cannot be mounted (${mounted.stderr.trim()})`
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  return undefined
}

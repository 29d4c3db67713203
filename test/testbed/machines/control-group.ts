import { runCommand } from '../command.ts'

/**
 * The shell lines that put the caller into a control group of its own, in a hierarchy of version 2 alone: this is what
 * a systemd inside expects today, whatever this machine's own systemd made of /sys/fs/cgroup. They need a private mount
 * namespace. `$1` is the group's name.
 */
export const enterControlGroup = `
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 125
mkdir -p "/sys/fs/cgroup/$1" && echo $$ > "/sys/fs/cgroup/$1/cgroup.procs" || exit 125
`

const removal = `
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 0
for group in "/sys/fs/cgroup/$1"*; do
  if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} \\; ; fi
done
`

/** Takes away the groups whose name begins so; groups that hold processes stay. */
export async function removeControlGroups(prefix: string): Promise<void> {
  const inPrivate = ['--mount', '--propagation', 'private', '--', 'sh', '-c', removal, 'sh', prefix]
  await runCommand('unshare', inPrivate)
}

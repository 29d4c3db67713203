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

// A process may be on its way out still when its group is to go, so it is tried until it works, or for 15 s.
const removal = `
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 0
tries=0
while [ $tries -lt 150 ]; do
  left=no
  for group in "/sys/fs/cgroup/$1"*; do
    if [ ! -d "$group" ]; then continue; fi
    echo 1 > "$group/cgroup.kill"
    find "$group" -depth -type d -exec rmdir {} \\;
    if [ -d "$group" ]; then left=yes; fi
  done
  if [ $left = no ]; then break; fi
  tries=$((tries + 1))
  sleep 0.1
done
`

/** Ends what is in the groups whose name begins so, and takes them away. */
export async function removeControlGroups(prefix: string): Promise<void> {
  const inPrivate = ['--mount', '--propagation', 'private', '--', 'sh', '-c', removal, 'sh', prefix]
  await runCommand('unshare', inPrivate)
}

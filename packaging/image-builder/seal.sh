#!/usr/bin/env bash
# Seals an image: takes away what makes this machine the one it is, so that each machine made from it is another.
#
#   seal.sh [--root DIR]
set -euo pipefail

root=''
if [[ ${1:-} == --root ]]; then root=${2:?}; fi

inside() {
  if [[ -n $root ]]; then chroot "$root" "$@"; else "$@"; fi
}

# The key in the agent's state is the machine's name in the mesh. The package brings what forgets it.
if [[ -x $root/usr/lib/mooring-agent/forget-identity ]]; then
  inside /usr/lib/mooring-agent/forget-identity
else
  rm -rf "$root/var/lib/mooring"
fi
if inside sh -c 'command -v cloud-init' >/dev/null; then inside cloud-init clean --logs --machine-id; fi
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed" \
  "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub

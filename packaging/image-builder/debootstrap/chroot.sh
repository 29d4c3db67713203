# shellcheck shell=bash
# Sourced by the recipes: how they run commands in the root that they make.

# Mounts made from here on belong to this program alone: whatever ends it, none of them stays behind.
private_mounts() {
  if [[ ${MOORING_PRIVATE_MOUNTS:-} != yes ]]; then
    MOORING_PRIVATE_MOUNTS=yes exec unshare --mount --propagation private -- "$0" "$@"
  fi
}

# Gives the root what the scripts of packages expect to find, and keeps them from starting anything.
enter_root() {
  local root=$1
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount --bind /dev "$root/dev"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  # An image that is half made is thrown away, so nothing needs to reach the disk before the end.
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/recipe"
  # A link to a file that only a running system has would leave the recipe without names.
  rm -f "$root/etc/resolv.conf"
  cat /etc/resolv.conf >"$root/etc/resolv.conf"
}

in_root() {
  local root=$1
  shift
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
    chroot "$root" "$@"
}

install_in_root() {
  local root=$1
  shift
  in_root "$root" apt-get --yes --quiet --no-install-recommends -o Acquire::Retries=3 install "$@"
}

# Takes away what belongs to the recipe and not to the machines, and unmounts.
leave_root() {
  local root=$1
  in_root "$root" apt-get clean
  rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/dpkg/dpkg.cfg.d/recipe" "$root/etc/resolv.conf"
  : >"$root/etc/resolv.conf"
  find "$root/var/lib/apt/lists" "$root/var/cache/apt" "$root/tmp" "$root/var/log" -type f -delete
  # Two machines of one image are two: each makes these at its first boot.
  rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub "$root/var/lib/dbus/machine-id" \
    "$root/var/lib/systemd/random-seed"
  : >"$root/etc/machine-id"
  umount "$root/dev" "$root/sys" "$root/proc"
}

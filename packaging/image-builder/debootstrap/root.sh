#!/usr/bin/env bash
# Makes the root of a Debian machine: systemd, networkd, cloud-init with the NoCloud source, and what the agent needs.
#
#   root.sh --dir DIR --suite SUITE --mirror URL [--source LINE]... [--package NAME]...
#
#   --dir DIR       an empty or missing folder
#   --suite SUITE   for example bookworm
#   --mirror URL    where Debian's packages are
#   --source LINE   a line of sources.list; those that are given replace `deb URL SUITE main`
#   --package NAME  one more package
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=chroot.sh
source "$here/chroot.sh"
private_mounts "$@"

dir='' suite='' mirror='' sources=() extra=()
while (($# > 0)); do
  case $1 in
    --dir) dir=$2 ;;
    --suite) suite=$2 ;;
    --mirror) mirror=$2 ;;
    --source) sources+=("$2") ;;
    --package) extra+=("$2") ;;
    *)
      echo "root.sh: there is no option $1" >&2
      exit 2
      ;;
  esac
  shift 2
done
if [[ -z $dir || -z $suite || -z $mirror ]]; then
  echo 'root.sh: --dir, --suite and --mirror are needed' >&2
  exit 2
fi
if ((${#sources[@]} == 0)); then sources=("deb $mirror $suite main"); fi

packages=(
  systemd systemd-sysv dbus udev cloud-init netbase
  iproute2 iptables nftables ca-certificates curl openssh-server procps kmod
  "${extra[@]}"
)

mkdir -p "$dir"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$dir" "$mirror" >&2
printf '%s\n' "${sources[@]}" >"$dir/etc/apt/sources.list"
enter_root "$dir"
in_root "$dir" apt-get --quiet update >&2
in_root "$dir" apt-get --yes --quiet --no-install-recommends upgrade >&2
install_in_root "$dir" "${packages[@]}" >&2

# The network is what cloud-init writes for networkd. Logs survive a reboot.
in_root "$dir" systemctl enable systemd-networkd.service >&2
in_root "$dir" systemctl set-default multi-user.target >&2
mkdir -p "$dir/var/log/journal"
# No metadata server is asked for: without one, each of the other sources costs a boot many seconds.
cat >"$dir/etc/cloud/cloud.cfg.d/90-mooring-image.cfg" <<'CFG'
datasource_list: [NoCloud, None]
ssh_genkeytypes: [ed25519]
locale: C.UTF-8
package_update: false
package_upgrade: false
CFG
# Work that a server made from an image has no use for at its boot.
in_root "$dir" systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
  dpkg-db-backup.timer fstrim.timer >&2
leave_root "$dir"

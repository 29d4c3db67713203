#!/usr/bin/env bash
# Makes a bootable disk with the agent in it: an ext4 file system in one file, and the kernel and initramfs that boot it
# (qemu -kernel, libvirt's direct boot, Firecracker). No loop device and no boot loader is needed.
#
#   build.sh --root DIR --out DIR [--agent FILE.deb] [--config agent.yaml] [--sidecar FILE.tar.gz] [--files DIR]
#     [--kernel DIR | --module NAME...] [--size 2G]
#
#   --root DIR     a root made by root.sh, or several joined by `:`, the uppermost first; none is changed
#   --out DIR      gets disk.img, vmlinuz and initrd.img
#   --agent FILE   the agent's package
#   --config FILE  becomes /etc/mooring/agent.yaml
#   --sidecar FILE the sidecar's archive, so that no machine downloads it
#   --files DIR    laid over the root as it is, at the end
#   --kernel DIR   the --out of an earlier build, whose kernel is taken over: then nothing is fetched
#   --module NAME  the initramfs holds these modules alone; without any it holds all that a disk may need
#   --size SIZE    of the disk, as mkfs.ext4 reads it
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=chroot.sh
source "$here/chroot.sh"
private_mounts "$@"

root='' out='' agent='' config='' sidecar='' files='' kernel='' size=2G modules=()
while (($# > 0)); do
  case $1 in
    --root) root=$2 ;;
    --out) out=$2 ;;
    --agent) agent=$2 ;;
    --config) config=$2 ;;
    --sidecar) sidecar=$2 ;;
    --files) files=$2 ;;
    --kernel) kernel=$2 ;;
    --module) modules+=("$2") ;;
    --size) size=$2 ;;
    *)
      echo "build.sh: there is no option $1" >&2
      exit 2
      ;;
  esac
  shift 2
done
if [[ -z $root || -z $out ]]; then
  echo 'build.sh: --root and --out are needed' >&2
  exit 2
fi
if [[ -n $kernel ]] && ((${#modules[@]} > 0)); then
  echo 'build.sh: --kernel brings its initramfs, so --module has nothing to say' >&2
  exit 2
fi

mkdir -p "$out"
work=$(mktemp -d "$out/.build-XXXXXX")
image=$work/image
trap 'umount --quiet --recursive --lazy "$image" || :; rm -rf --one-file-system "$work"' EXIT
mkdir "$work/changes" "$work/overlay" "$image"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/changes,workdir=$work/overlay" "$image"

enter_root "$image"
if [[ -n $kernel ]]; then
  modules_dir=$(readlink -f "$image/lib")
  debugfs -R "rdump /usr/lib/modules $modules_dir" "$kernel/disk.img" 2>"$work/debugfs" >&2
  if ! compgen -G "$modules_dir/modules/*/modules.dep" >/dev/null; then
    cat "$work/debugfs" >&2
    exit 1
  fi
  cp "$kernel/vmlinuz" "$kernel/initrd.img" "$out/"
else
  in_root "$image" apt-get --quiet -o APT::Update::Error-Mode=any update >&2
  install_in_root "$image" initramfs-tools zstd >&2
  if ((${#modules[@]} > 0)); then
    echo MODULES=list >"$image/etc/initramfs-tools/conf.d/mooring-image"
    printf '%s\n' "${modules[@]}" >>"$image/etc/initramfs-tools/modules"
  fi
  install_in_root "$image" "linux-image-cloud-$(in_root "$image" dpkg --print-architecture)" >&2
  cp --dereference "$image"/boot/vmlinuz-* "$out/vmlinuz"
  cp --dereference "$image"/boot/initrd.img-* "$out/initrd.img"
  # Disk and kernel are apart, so the disk needs neither.
  rm -f "$image"/boot/vmlinuz-* "$image"/boot/initrd.img-*
fi
if [[ -n $agent ]]; then
  "$here/../agent.sh" --root "$image" --deb "$agent" ${config:+--config "$config"} >&2
fi
if [[ -n $sidecar ]]; then "$here/../sidecar.sh" --root "$image" --archive "$sidecar" >&2; fi
# That of the machine where the root was made.
rm -f "$image/etc/hostname"
echo 'LABEL=mooring-root / ext4 errors=remount-ro 0 1' >"$image/etc/fstab"
leave_root "$image"
if [[ -n $files ]]; then cp --recursive --no-dereference --preserve=mode,links "$files/." "$image/"; fi

rm -f "$out/disk.img"
mkfs.ext4 -q -F -L mooring-root -d "$image" "$out/disk.img" "$size"
umount "$image"

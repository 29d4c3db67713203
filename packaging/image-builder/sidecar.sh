#!/usr/bin/env bash
# Bakes a sidecar into an image: what `mooring artifact build` made is unpacked to where the agent looks before it asks
# the controller, so that no machine downloads it at its first boot.
#
#   sidecar.sh --archive FILE [--root DIR] [--version VERSION] [--sha256 DIGEST]
#
#   --archive FILE     the very file that the controller offers; of another one the controller's is taken
#   --root DIR         the image's root; without it the system that this runs in
#   --version VERSION  as the controller calls it; without it the file's name says it (sidecar-VERSION-ARCH.tar.gz)
#   --sha256 DIGEST    what the archive must be
set -euo pipefail

archive='' root='' version='' sha256=''
while (($# > 0)); do
  case $1 in
    --archive) archive=$2 ;;
    --root) root=$2 ;;
    --version) version=$2 ;;
    --sha256) sha256=$2 ;;
    *)
      echo "sidecar.sh: there is no option $1" >&2
      exit 2
      ;;
  esac
  shift 2
done
if [[ -z $archive ]]; then
  echo 'sidecar.sh: --archive is needed' >&2
  exit 2
fi
if [[ -z $version && ${archive##*/} =~ ^sidecar-(.+)-(amd64|arm64)\.tar\.gz$ ]]; then version=${BASH_REMATCH[1]}; fi
if [[ ! $version =~ ^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$ ]]; then
  echo "sidecar.sh: the name of $archive says no version: --version is needed" >&2
  exit 2
fi
digest=$(sha256sum <"$archive" | cut -d' ' -f1)
if [[ -n $sha256 && $sha256 != "$digest" ]]; then
  echo "sidecar.sh: $archive is sha256 $digest" >&2
  exit 1
fi

# The agent makes the outer folders so too: the sidecar's user must get through them.
state=$root/var/lib/mooring
install -d -m 0711 "$state"
install -d -m 0755 "$state/sidecar" "$state/sidecar/versions"
name=$version-${digest:0:12}
work=$(mktemp -d "$state/sidecar/versions/.unfinished-XXXXXX")
trap 'rm -rf "$work"' EXIT

files=(bin/envoy bin/pilot-agent envoy_bootstrap_tmpl.json)
tar --extract --gzip --no-same-owner --file "$archive" --directory "$work" "${files[@]}"
chmod 0755 "$work" "$work/bin" "$work/bin/envoy" "$work/bin/pilot-agent"
chmod 0644 "$work/envoy_bootstrap_tmpl.json"
entries=()
for file in "${files[@]}"; do
  if [[ -L $work/$file || ! -f $work/$file ]]; then
    echo "sidecar.sh: $file in $archive is no plain file" >&2
    exit 1
  fi
  size=$(stat --format %s "$work/$file")
  sum=$(sha256sum <"$work/$file" | cut -d' ' -f1)
  entries+=("{\"path\":\"$file\",\"size\":$size,\"sha256\":\"$sum\"}")
done
# What the agent compares; a folder without it counts as unfinished.
(
  IFS=,
  printf '{"version":"%s","sha256":"%s","files":[%s]}\n' "$version" "$digest" "${entries[*]}" >"$work/manifest.json"
)
chmod 0644 "$work/manifest.json"
rm -rf "$state/sidecar/versions/$name"
mv "$work" "$state/sidecar/versions/$name"
ln --symbolic --force --no-dereference "versions/$name" "$state/sidecar/current"

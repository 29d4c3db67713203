#!/usr/bin/env bash
# Installs the agent's package into an image, without starting anything; the image's first boot does.
#
#   agent.sh --deb FILE [--root DIR] [--config agent.yaml] [--sha256 DIGEST]
#
#   --deb FILE       the agent's package
#   --root DIR       the image's root; without it the system that this runs in
#   --config FILE    becomes /etc/mooring/agent.yaml
#   --sha256 DIGEST  what the package must be
set -euo pipefail

deb='' root='' config='' sha256=''
while (($# > 0)); do
  case $1 in
    --deb) deb=$2 ;;
    --root) root=$2 ;;
    --config) config=$2 ;;
    --sha256) sha256=$2 ;;
    *)
      echo "agent.sh: there is no option $1" >&2
      exit 2
      ;;
  esac
  shift 2
done
if [[ -z $deb ]]; then
  echo 'agent.sh: --deb is needed' >&2
  exit 2
fi
if [[ -n $sha256 ]]; then echo "$sha256  $deb" | sha256sum --check --quiet; fi

inside() {
  if [[ -n $root ]]; then chroot "$root" "$@"; else "$@"; fi
}

package=$root/var/tmp/mooring-agent-image.deb
policy=$root/usr/sbin/policy-rc.d
made_policy=no
cleanup() {
  rm -f "$package"
  if [[ $made_policy == yes ]]; then rm -f "$policy"; fi
}
trap cleanup EXIT
# An agent that ran while the image was made would join, and every machine of the image would be that one.
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  made_policy=yes
fi

# Before the package, so that its own configuration is never taken for the one that was wanted.
if [[ -n $config ]]; then install -D -m 0644 "$config" "$root/etc/mooring/agent.yaml"; fi
cp "$deb" "$package"
inside env DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --no-install-recommends \
  -o Dpkg::Options::=--force-confold install /var/tmp/mooring-agent-image.deb

state=$root/var/lib/mooring
if [[ -e $state/state.json ]]; then
  echo "agent.sh: $state holds the state of an agent that ran; take it away before the image is sealed" >&2
  exit 1
fi

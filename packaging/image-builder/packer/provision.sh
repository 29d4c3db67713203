#!/usr/bin/env bash
# Packer's shell provisioner: installs the agent in the machine that becomes an image, and seals it.
#
#   provisioner "file"  { source = "mooring-agent.deb", destination = "/tmp/mooring-agent.deb" }
#   provisioner "file"  { source = "image-builder/",    destination = "/tmp/image-builder/" }
#   provisioner "shell" {
#     execute_command  = "sudo env {{ .Vars }} bash '{{ .Path }}'"
#     environment_vars = ["MOORING_AGENT_DEB=/tmp/mooring-agent.deb", "MOORING_AGENT_SHA256=…"]
#     script           = "image-builder/packer/provision.sh"
#   }
#
# MOORING_AGENT_DEB     the package, in the machine
# MOORING_AGENT_SHA256  what it must be (optional)
# MOORING_AGENT_CONFIG  a file that becomes /etc/mooring/agent.yaml (optional)
# MOORING_RECIPE        folder of agent.sh and seal.sh, by default /tmp/image-builder
set -euo pipefail
recipe=${MOORING_RECIPE:-/tmp/image-builder}

if [[ -d /run/cloud-init ]]; then
  # Until the platform's own first boot is done it may hold apt's lock. Code 2: done, with warnings.
  timeout 600 cloud-init status --wait >/dev/null || (($? == 2))
fi
bash "$recipe/agent.sh" --deb "${MOORING_AGENT_DEB:?}" \
  ${MOORING_AGENT_SHA256:+--sha256 "$MOORING_AGENT_SHA256"} \
  ${MOORING_AGENT_CONFIG:+--config "$MOORING_AGENT_CONFIG"}
bash "$recipe/seal.sh"

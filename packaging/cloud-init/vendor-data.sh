#!/bin/sh
# The same as vendor-data.yaml, for platforms whose users write files by user data too. cloud-init runs it once for each
# instance, at the end of the first boot; the agent waits for a controller, and goes on when the file is there.
set -eu
folder=/etc/mooring/agent.d
mkdir -p "$folder"
cat >"$folder/.40-cloud-init-vendor.new" <<'YAML'
controller:
  url: https://controller.mesh.internal:8443
  pin: sha256:0000000000000000000000000000000000000000000000000000000000000000
YAML
chmod 0644 "$folder/.40-cloud-init-vendor.new"
mv "$folder/.40-cloud-init-vendor.new" "$folder/40-cloud-init-vendor.yaml"

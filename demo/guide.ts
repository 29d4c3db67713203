import { chmod, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Cluster } from '../test/testbed/kubernetes/cluster.ts'
import { onPath } from '../test/testbed/on-path.ts'
import type { Member } from '../test/world/member.ts'
import { echo, type World } from '../test/world/world.ts'
import { toTry } from './narration.ts'

const project = resolve(import.meta.dirname, '..')

/** Writes what a person needs to look around, and says how. */
export async function writeGuide(
  world: World & { readonly kubectl?: string; readonly cluster?: Cluster },
  {
    server,
    withoutPower,
    client,
  }: { readonly server: Member; readonly withoutPower: string; readonly client: 'vm' | 'pod' },
): Promise<readonly string[]> {
  const { hostDir, tempDir } = world.network
  const caFile = join(hostDir, 'ca.pem')
  const tokenFile = join(hostDir, 'operator-token')
  const on = join(tempDir, 'on')
  await writeFile(caFile, world.controller.ca)
  await writeFile(tokenFile, world.operator.token, { mode: 0o600 })
  await writeFile(on, onVm(server))
  await chmod(on, 0o755)
  // Not every machine has curl.
  const fetcher = (await onPath('curl')) === undefined ? 'wget -qO-' : 'curl -s'
  return toTry({
    environment: {
      MOORING_URL: world.controller.operatorUrl,
      MOORING_CA_FILE: caFile,
      MOORING_TOKEN_FILE: tokenFile,
      ...(world.cluster && { KUBECONFIG: world.cluster.kubeconfig }),
    },
    aliases: {
      mooring: `${process.execPath} ${join(project, 'cli/main.ts')}`,
      on,
      ...(world.kubectl && { kubectl: world.kubectl }),
    },
    call: `${client === 'pod' ? inPod : `on client ${fetcher}`} http://${echo.host}:${echo.http}/`,
    server: shortId((await server.view()).id),
    withoutPower: shortId(withoutPower),
    namespace: server.vm.path,
  })
}

const inPod = 'kubectl exec client -c app -- wget -qO-'

// The command line takes the beginning of an id; among four VMs this much is enough.
const shortIdLength = 11

function shortId(id: string): string {
  return id.slice(0, shortIdLength)
}

/** A script that runs a command in the network of a VM, and with its hosts file and name servers. */
function onVm({ name, vm }: Member): string {
  const namespaces = vm.path.slice(0, -name.length)
  const roots = vm.root.slice(0, -name.length)
  return `#!/bin/sh
# $0 VM COMMAND...
vm=$1
shift
exec nsenter --net='${namespaces}'"$vm" -- unshare --mount --uts --propagation slave -- sh -c '
  echo "\${0##*/}" > /proc/sys/kernel/hostname
  for file in hosts resolv.conf; do mount --bind "$0/etc/$file" "/etc/$file"; done
  exec "$@"' '${roots}'"$vm" "$@"
`
}

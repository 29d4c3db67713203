import { once } from 'node:events'
import { openSync } from 'node:fs'
import { chmod, copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { captureRules } from '../../../agent/capture/rules.ts'
import { sidecarFileList } from '../../../agent/sidecar/files.ts'
import { sidecarFiles, sidecarUser } from '../../../agent/sidecar/paths.ts'
import { createRunFolder } from '../../../agent/sidecar/run-folder.ts'
import { sidecarSpec } from '../../../agent/sidecar/spec.ts'
import type { Bundle } from '../../../shared/api/bundle.ts'
import type { Network } from '../../testbed/network/network.ts'
import type { Vm } from '../../testbed/network/vm.ts'
import type { Parts } from '../../testbed/parts/parts.ts'
import { adminGet } from '../../world/envoy-admin.ts'
import { waitFor } from '../../world/waiting.ts'

/** Puts the sidecar's programs where its own user may run them; all VMs of a network share the folder. */
export async function installSidecar(network: Network, parts: Parts): Promise<string> {
  const version = join(network.tempDir, 'sidecar')
  await mkdir(join(version, 'bin'), { recursive: true })
  for (const folder of [version, join(version, 'bin')]) await chmod(folder, 0o755)
  const files = [
    [parts.pilotAgent, sidecarFiles.pilotAgent, 0o755],
    [parts.envoy, sidecarFiles.envoy, 0o755],
    [parts.bootstrapTemplate, sidecarFiles.template, 0o644],
  ] as const
  for (const [from, to, mode] of files) {
    await copyFile(from, join(version, to))
    await chmod(join(version, to), mode)
  }
  return version
}

export interface RunningSidecar {
  /** GET from its Envoy's admin interface. */
  admin(path: string): Promise<string>
  stop(): Promise<void>
  /** As whoever runs it by hand stops it: pilot-agent takes its Envoy along. */
  end(): Promise<void>
}

/** Further environment of a pilot-agent, which goes before what the bundle says. */
export type SidecarEnvironment = Readonly<Record<string, string>>

/** A bare pilot-agent in a VM with what the bundle says, and the capture after it. */
export async function startSidecar(
  vm: Vm,
  bundle: Bundle,
  version: string,
  environment: SidecarEnvironment = {},
): Promise<RunningSidecar> {
  // A machine in use tracks its connections from the start. One that begins with the capture takes a connection
  // that istiod speaks on first for a new one from outside, redirects it, and cuts the sidecar off for half a minute.
  await vm.exec('iptables', ['-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'ESTABLISHED', '-j', 'ACCEPT'])
  const sidecar = await launchSidecar(vm, bundle, version, environment)
  await waitFor(async () => (await sidecar.admin('/ready')).includes('LIVE'), { what: `Envoy on ${vm.name}` })
  const rules = captureRules(bundle, {
    controllerAddresses: [bundle.mesh.istiod.address],
    ipv6: false,
    nameservers: [],
  })
  const { code, stderr } = await vm.exec(join(version, sidecarFiles.pilotAgent), rules.apply)
  if (code !== 0) throw new Error(`no capture on ${vm.name}: ${stderr}`)
  return sidecar
}

/** The same, without waiting for anything. */
export async function launchSidecar(
  vm: Vm,
  bundle: Bundle,
  version: string,
  environment: SidecarEnvironment = {},
): Promise<RunningSidecar> {
  const run = join(vm.root, 'run')
  await createRunFolder({ path: run, state: vm.root, user: sidecarUser }).write(sidecarFileList(bundle))
  const spec = sidecarSpec(bundle, { version, run })
  const log = openSync(join(vm.root, 'sidecar.log'), 'a')
  const child = vm.spawn(spec.command, spec.args, {
    env: { ...spec.env, ...environment },
    cwd: spec.cwd,
    uid: spec.uid,
    gid: spec.gid,
    stdio: ['ignore', log, log],
  })
  const exited = once(child, 'exit')
  return {
    admin: (path) => adminGet(vm, path),
    async stop() {
      child.kill('SIGKILL')
      await exited
    },
    async end() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

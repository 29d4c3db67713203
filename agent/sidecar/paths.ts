import { join } from 'node:path'

/** The user and group that pilot-agent and Envoy run as, and that the capture rules let pass; Istio's own. */
export const sidecarUser = { uid: 1337, gid: 1337 } as const

/** Ports that the sidecar opens on the VM (istio.io, "Ports used by Istio"). */
export const sidecarPorts = {
  admin: 15000,
  outbound: 15001,
  debug: 15004,
  inbound: 15006,
  status: 15020,
  health: 15021,
  dns: 15053,
  prometheus: 15090,
} as const

/** The three files of a sidecar, relative to its version's folder. */
export const sidecarFiles = {
  pilotAgent: 'bin/pilot-agent',
  envoy: 'bin/envoy',
  template: 'envoy_bootstrap_tmpl.json',
} as const

/** Where everything of the sidecar lies. */
export interface SidecarPaths {
  /** Installed versions, each in a folder of its own. */
  readonly versions: string
  /** Symbolic link to the version in use; for people and for the previous version's sake. */
  readonly current: string
  readonly downloads: string
  /** Working folder of pilot-agent: it finds its files by paths relative to it. */
  readonly run: string
  readonly pidFile: string
  /** What a unit of systemd starts from: a link to the program, and its environment. */
  readonly unit: { readonly program: string; readonly environment: string }
  /** What was applied as traffic rules. */
  readonly captureFile: string
  readonly log: string
}

/** The paths below the agent's state folder (usually /var/lib/mooring) and its log folder. */
export function sidecarPaths(folders: { readonly state: string; readonly log: string }): SidecarPaths {
  const base = join(folders.state, 'sidecar')
  return {
    versions: join(base, 'versions'),
    current: join(base, 'current'),
    downloads: join(base, 'download'),
    run: join(base, 'run'),
    pidFile: join(base, 'process.json'),
    unit: { program: join(base, 'unit', 'program'), environment: join(base, 'unit', 'environment') },
    captureFile: join(base, 'capture.json'),
    log: join(folders.log, 'sidecar.log'),
  }
}

/** Files that pilot-agent reads, relative to `run` (istio pkg/config/constants, pkg/security). */
export const runFiles = {
  token: 'var/run/secrets/tokens/istio-token',
  rootCertificate: 'etc/certs/root-cert.pem',
  annotations: 'etc/istio/pod/annotations',
  config: 'etc/istio/proxy',
} as const

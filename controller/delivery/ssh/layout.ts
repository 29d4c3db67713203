/** Where things are on a VM; the package of the agent puts the same files in the same places. */
export const layout = {
  /** What is on its way: only root gets in, and it is gone when all is done. */
  stage: '/var/lib/mooring-injection',
  /** Lists what was put there, for the day on which it is taken away. */
  manifest: '/usr/lib/mooring-agent/injected',
  executable: '/usr/bin/mooring-agent',
  config: '/etc/mooring/agent.d/70-injected.yaml',
  token: '/etc/mooring/injected.token',
} as const

/** A file that comes with the agent: its name in the controller's folder, and its place on the VM. */
export interface AgentPart {
  readonly from: string
  readonly path: string
}

/** Everything beside the executable. */
export const agentParts: readonly AgentPart[] = [
  ...['mooring-agent', 'mooring-sidecar', 'mooring-drain'].map((unit) => ({
    from: `systemd/${unit}.service`,
    path: `/usr/lib/systemd/system/${unit}.service`,
  })),
  {
    from: 'systemd/user@.service.d/50-mooring.conf',
    path: '/usr/lib/systemd/system/user@.service.d/50-mooring.conf',
  },
  { from: 'systemd/tmpfiles.conf', path: '/usr/lib/tmpfiles.d/mooring-agent.conf' },
]

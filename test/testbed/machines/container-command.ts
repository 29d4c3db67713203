import { enterControlGroup } from './control-group.ts'

/** A folder or file of this machine that a container sees, read-only. */
export interface Share {
  readonly from: string
  /** Where in the container. */
  readonly at: string
}

/** The folders of an overlay mount. */
export interface Overlay {
  /** The uppermost first. */
  readonly layers: readonly string[]
  readonly upper: string
  readonly work: string
  readonly merged: string
}

export interface ContainerCommandRequest {
  readonly overlay: Overlay
  readonly name: string
  readonly group: string
  readonly namespacePath: string
  readonly shares: readonly Share[]
}

/** The code with which systemd-nspawn ends, under `--keep-unit`, when the container wants to be started again. */
export const rebootCode = 133

// Arguments: the control group, the overlay's options, where it is mounted, then the command. `exec`, so that the pid
// stays the program's. The mount is in a namespace of its own and goes with the last process.
const start = `
${enterControlGroup}
mount -t overlay overlay -o "$2" "$3" || exit 125
shift 3
exec "$@"
`

/** The command line of a container; everything in it is in the given network namespace, and found there. */
export function containerCommand(request: ContainerCommandRequest): readonly string[] {
  const { overlay, name, group, namespacePath, shares } = request
  return [
    ...['nsenter', `--net=${namespacePath}`, '--'],
    ...['unshare', '--mount', '--propagation', 'slave', '--'],
    ...['sh', '-c', start, 'sh', group, overlayOptions(overlay), overlay.merged],
    ...['systemd-nspawn', '--quiet', '--boot', `--directory=${overlay.merged}`],
    // There may be no systemd outside to register with, and none to make a scope for it.
    ...['--register=no', '--keep-unit'],
    ...[`--machine=${name}`, '--link-journal=no', '--resolv-conf=off', '--timezone=off'],
    `--network-namespace-path=${namespacePath}`,
    // A machine's root may set up its network and its traffic rules.
    '--capability=CAP_NET_ADMIN,CAP_NET_RAW',
    '--console=read-only',
    ...shares.map(({ from, at }) => `--bind-ro=${escaped(from)}:${escaped(at)}`),
  ]
}

/** Options of an overlay mount. */
export function overlayOptions({ layers, upper, work }: Overlay): string {
  return `lowerdir=${layers.join(':')},upperdir=${upper},workdir=${work}`
}

function escaped(path: string): string {
  return path.replaceAll(/[\\:]/g, '\\$&')
}

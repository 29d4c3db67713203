import { networks } from '../network/addresses.ts'
import { pauseImage } from './images.ts'

export const nodeName = 'node-1'

/** Where a node's own files are, as its programs see them. */
export const nodeDir = '/run/testbed'

/** What pods' addresses are taken from; VMs begin at .10, and machines that boot at .210. */
export const podRange = { start: '10.77.0.100', end: '10.77.0.200' } as const

/** containerd of Debian 12: its plugin for Kubernetes on version 1 of control groups. */
export const containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # A container without CAP_SYS_RESOURCE cannot lower its score below its own.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/run/runtime/usr/lib/cni"
    conf_dir = "${nodeDir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`

/** Puts pods on the bridge of the VMs. */
export const cniConfig = {
  cniVersion: '0.4.0',
  name: 'testbed',
  plugins: [
    {
      type: 'bridge',
      bridge: 'brm',
      ipam: {
        type: 'host-local',
        ranges: [
          [
            {
              subnet: `${networks.brm.host.replace(/\.1$/, '.0')}/${networks.brm.prefix}`,
              rangeStart: podRange.start,
              rangeEnd: podRange.end,
              gateway: networks.brm.host,
            },
          ],
        ],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  ],
}

/** The kubelet's settings for a machine with version 1 of control groups, little disk and no swap rules. */
export function kubeletConfig(request: { readonly group: string; readonly port: number }): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    address: networks.brm.host,
    port: request.port,
    healthzBindAddress: '127.0.0.1',
    readOnlyPort: 0,
    // Nobody but the API server reaches it.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${request.group}`,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
    resolvConf: `${nodeDir}/resolv.conf`,
    // A disk that others filled is no reason to end pods.
    evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '0%', 'imagefs.available': '0%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    maxPods: 60,
  }
}

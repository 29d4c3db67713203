import { openSync } from 'node:fs'
import { chmod, copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { KubernetesWorld } from '../../e2e/kubernetes/controller-scene.ts'
import { mustRun } from '../../testbed/command.ts'
import type { Member } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import { istioGroup, istioObjects, workloadGroup } from './istio-objects.ts'
import type { Side } from './side.ts'

export interface IstioSideOptions {
  /** Whether pilot-agent asks which cloud it is in, as it does by itself. @defaultValue true */
  readonly asksForCloud?: boolean
}

/** Folders of Istio's packages for virtual machines, below the folder that stands for `/` (istio tools/packaging). */
const places = {
  'cluster.env': 'var/lib/istio/envoy/cluster.env',
  'mesh.yaml': 'etc/istio/config/mesh',
  'root-cert.pem': 'etc/certs/root-cert.pem',
  'istio-token': 'var/run/secrets/tokens/istio-token',
} as const

const user = '1337'

// What istio-start.sh of Istio's packages does: settings, traffic rules, then pilot-agent under its own user.
const startScript = `
set -ea
. ./var/lib/istio/envoy/cluster.env
set +a
"$1" istio-iptables --cleanup-only
"$1" istio-iptables
export PROV_CERT=./etc/certs OUTPUT_CERTS=./etc/certs CA_ADDR="\${CA_ADDR:-istiod.istio-system.svc:15012}"
export INSTANCE_IP="$ISTIO_SVC_IP" POD_NAME="$(hostname)" POD_NAMESPACE="$ISTIO_NAMESPACE"
exec setpriv --reuid=${user} --regid=${user} --clear-groups -- "$1" proxy --templateFile "$2"`

/** Istio's own way: auto-registration into a WorkloadGroup, by the files that istioctl makes. */
export async function createIstioSide(world: KubernetesWorld, options: IstioSideOptions = {}): Promise<Side> {
  const { cluster, istiod, parts, network } = world
  const programs = join(network.tempDir, 'istio-programs')
  await mkdir(programs, { recursive: true, mode: 0o755 })
  await cluster.apply(istioObjects)
  const groupFile = join(programs, 'group.json')
  await writeFile(groupFile, JSON.stringify(workloadGroup))
  // Where its own user may run them.
  const program = async (from: string, name: string) => {
    const to = join(programs, name)
    await copyFile(from, to)
    await chmod(to, 0o755)
    return to
  }
  const pilotAgent = await program(parts.pilotAgent, 'pilot-agent')
  const envoy = await program(parts.envoy, 'envoy')
  const template = await program(parts.bootstrapTemplate, 'envoy_bootstrap_tmpl.json')

  async function layFiles({ vm, name }: Member): Promise<string> {
    const root = join(vm.root, 'istio')
    const made = join(programs, name)
    await rm(root, { recursive: true, force: true })
    await mustRun(
      parts.istioctl,
      [
        ...['--kubeconfig', cluster.kubeconfig, 'experimental', 'workload', 'entry', 'configure'],
        ...['--file', groupFile, '--output', made, '--clusterID', 'Kubernetes', '--autoregister'],
        ...['--internalIP', vm.address, '--ingressIP', istiod.address],
      ],
      { timeoutMs: 120_000, env: { HOME: programs, PATH: process.env.PATH } },
    )
    for (const [from, to] of Object.entries(places)) {
      await mkdir(join(root, to, '..'), { recursive: true })
      await rename(join(made, from), join(root, to))
    }
    await mustRun('chown', ['-R', `${user}:${user}`, root])
    return root
  }

  async function entries(address: string): Promise<readonly string[]> {
    const args = ['get', 'workloadentries.networking.istio.io', '-n', istioGroup.namespace, '-o', 'json']
    const { items } = JSON.parse((await cluster.kubectl(args)).stdout) as {
      items: { metadata: { name: string }; spec: { address?: string; labels?: Record<string, string> } }[]
    }
    return items
      .filter(({ spec }) => spec.address === address && spec.labels?.app === istioGroup.labels.app)
      .map(({ metadata }) => metadata.name)
  }

  return {
    name: 'istio',
    host: istioGroup.host,
    async prepare(member) {
      const { vm } = member
      const root = await layFiles(member)
      let child: ReturnType<typeof vm.spawn> | undefined
      return {
        async start() {
          const log = openSync(join(vm.root, 'istio.log'), 'a')
          child = vm.spawn('sh', ['-c', startScript, 'sh', pilotAgent, template], {
            cwd: root,
            env: {
              PATH: process.env.PATH,
              PROXY_CONFIG: JSON.stringify({ binaryPath: envoy }),
              ...(options.asksForCloud === false && { CLOUD_PLATFORM: 'none' }),
            },
            stdio: ['ignore', log, log],
          })
        },
        async shutDown() {
          child?.kill('SIGTERM')
          await waitFor(() => child?.exitCode !== null || child?.signalCode !== null, {
            what: `the sidecar of ${member.name} to end`,
          })
        },
        async killSidecar() {
          // Its unit takes the rest of the process group along (KillMode=mixed).
          for (const pid of Object.values(await member.sidecar())) process.kill(pid, 'SIGKILL')
        },
        async forget() {
          await waitFor(
            async () => {
              const left = await entries(vm.address)
              const args = ['delete', 'workloadentries.networking.istio.io', '-n', istioGroup.namespace]
              if (left.length > 0) await cluster.kubectl([...args, '--ignore-not-found', ...left])
              return left.length === 0
            },
            { what: `the entry of ${member.name} to be gone`, everyMs: 500 },
          )
        },
      }
    },
  }
}

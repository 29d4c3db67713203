import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { connect } from 'node:tls'
import { keyPin } from '../../../shared/pin.ts'
import { mustRun } from '../../testbed/command.ts'
import type { Cluster } from '../../testbed/kubernetes/cluster.ts'
import type { Network } from '../../testbed/network/network.ts'
import type { ControllerProcess } from '../controller-process.ts'
import { waitFor } from '../waiting.ts'

export const chart = resolve(import.meta.dirname, '../../../packaging/helm/chart')
export const namespace = 'mooring-system'
export const release = 'mooring'

/** A controller in a pod, by Helm. */
export interface ChartController extends ControllerProcess {
  /** Runs Helm; `upgrade` with changed values is `helm upgrade` until all is rolled out. */
  helm(...args: readonly string[]): Promise<string>
  upgrade(values: object): Promise<void>
  /** Runs `mooring-controller` in the pod. */
  exec(...args: readonly string[]): Promise<string>
}

export interface ChartControllerDeps {
  readonly network: Network
  readonly cluster: Cluster
  /** Path of Helm. */
  readonly helm: string
  readonly values: object
  /** Leads the port of the host's addresses to the Service of that name. */
  readonly route: (service: string) => Promise<void>
}

const port = 8443
const limitMs = 300_000

/** Prepares an installation; `start` makes it. */
export async function createChartController(deps: ChartControllerDeps): Promise<ChartController> {
  const { network, cluster } = deps
  const dataDir = join(network.hostDir, 'chart')
  const logFile = join(dataDir, 'pod.log')
  await mkdir(dataDir)
  let values = deps.values
  let isRouted = false
  let [ca, pin, enrolmentCode] = ['', '', '']
  const operatorUrl = `https://${network.uplink.inside}:${port}`

  const inNamespace = async (...args: readonly string[]) =>
    (await cluster.kubectl(['-n', namespace, ...args], { timeoutMs: limitMs })).stdout.trim()
  const helm = async (...args: readonly string[]) => {
    const env = { HOME: dataDir, PATH: process.env.PATH, KUBECONFIG: cluster.kubeconfig }
    return (await mustRun(deps.helm, ['-n', namespace, ...args], { env, timeoutMs: limitMs })).stdout
  }
  const exec = (...args: readonly string[]) =>
    inNamespace('exec', `deploy/${release}`, '--', 'mooring-controller', ...args)

  async function install(): Promise<void> {
    const file = join(dataDir, 'values.json')
    await writeFile(file, JSON.stringify(values))
    const wait = ['--wait', '--timeout', `${limitMs / 1000}s`]
    await helm('upgrade', '--install', release, chart, '--create-namespace', '-f', file, ...wait).catch(
      async (cause: unknown) => {
        throw new Error(`${await whatPodsSay()}`, { cause })
      },
    )
  }

  async function whatPodsSay(): Promise<string> {
    const pods = await inNamespace('describe', 'pods').catch(String)
    const log = await inNamespace('logs', `deploy/${release}`, '--tail=40').catch(String)
    await writeFile(logFile, log)
    return `${pods.slice(-3000)}\n${log}`
  }

  async function learn(): Promise<void> {
    pin = (JSON.parse(await exec('pin', '--json')) as { pin: string }).pin
    ca = await waitFor(() => authorityShown(operatorUrl, pin).catch(() => undefined), {
      what: 'the controller by the address of its Service',
    })
  }

  return {
    url: `https://${network.hostAddress}:${port}`,
    url6: '',
    operatorUrl,
    dataDir,
    logFile,
    get ca() {
      return ca
    },
    get pin() {
      return pin
    },
    get enrolmentCode() {
      return enrolmentCode
    },
    pid: 0,
    async start() {
      await install()
      if (!isRouted) await deps.route(release)
      isRouted = true
      await learn()
      enrolmentCode = (JSON.parse(await exec('enrol', '--json')) as { enrolment: string }).enrolment
    },
    async stop() {
      await inNamespace('scale', `deploy/${release}`, '--replicas=0')
      await inNamespace('wait', '--for=delete', 'pod', '-l', `app.kubernetes.io/instance=${release}`)
    },
    async kill() {
      await inNamespace(
        'delete',
        'pod',
        '-l',
        `app.kubernetes.io/instance=${release}`,
        '--force',
        '--wait=false',
      )
    },
    exited: () => Promise.resolve({ code: null, signal: null }),
    helm,
    exec,
    async upgrade(changed) {
      values = { ...values, ...changed }
      await install()
      await learn()
    },
  }
}

/** The authority that the controller shows, PEM, where it is the one of the pin. */
function authorityShown(url: string, pin: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      let certificate = socket.getPeerX509Certificate()
      while (certificate?.issuerCertificate !== undefined && certificate.issuerCertificate !== certificate)
        certificate = certificate.issuerCertificate
      socket.destroy()
      const key = certificate?.publicKey.export({ type: 'spki', format: 'der' })
      if (certificate === undefined || key === undefined || keyPin(key) !== pin)
        return reject(new Error('it shows another authority'))
      resolve(certificate.toString())
    })
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')))
    socket.once('error', reject)
  })
}

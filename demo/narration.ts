/**
 * Every sentence of the demo. Whoever shows something else than before changes the scene; whoever wants to say it better
 * changes this file.
 */
import { duration } from './duration.ts'
import type { BootFigures, Count, LoadFigures, PowerCutFigures, ScaleInFigures } from './figures.ts'
import type { Errand, Need } from './needs.ts'
import { type Promised, powerCutLimitMs } from './promises.ts'

export const opening = [
  '',
  'Mooring: virtual machines join an Istio mesh by themselves, and leave it without a failed request.',
  '',
] as const

const mark = (good: boolean) => (good ? '✓' : '✗')

/** What this machine must have, and whether it does. */
export function needs(list: readonly Need[], errands: readonly Errand[]): readonly string[] {
  const found = list.map(({ what, met }) => `${what} ${mark(met)}`).join('   ')
  const unused = errands.length === 0 ? '   Python, and Go or its wheel: not this time' : ''
  const fixes = list.filter((need) => !need.met).map((need) => `         ${need.fix}`)
  return [`Needs    ${found}${unused}`, ...fixes]
}

const ways = { pip: 'fetched by pip', go: 'built by Go', bun: 'built by Bun' } as const

/** What will be got before anything can be shown. */
export function outlook(errands: readonly Errand[], cache: string): readonly string[] {
  if (errands.length === 0) return ['Gets     nothing: Envoy, Istio and the agent are there']
  const about = (seconds: number) =>
    seconds < 60 ? `about ${seconds} s` : `about ${Math.round(seconds / 60)} min`
  const width = Math.max(...errands.map(({ what }) => what.length))
  const total = errands.reduce((sum, { seconds }) => sum + seconds, 0)
  const rows = errands.map(
    ({ what, by, seconds }, i) =>
      `${i === 0 ? 'Gets' : '    '}     ${what.padEnd(width)}   ${ways[by]}, ${about(seconds)}`,
  )
  return [...rows, `         ${about(total)} on 2 cores, once; kept in ${cache}`]
}

export const acts = {
  mesh: {
    standalone: 'A mesh, without Kubernetes',
    kubernetes: 'A cluster with Istio, and Mooring in it by its chart',
  },
  boots: 'Three virtual machines boot; nobody copies a file',
  podAndBoots: 'A pod, and two virtual machines that boot; nobody copies a file',
  traffic: 'They talk, and only by mutual TLS',
  scaleIn: (vm: string) => `${vm} is scaled in under load`,
  replacement: 'A replacement boots',
  powerCut: (vm: string) => `${vm} loses power`,
} as const

export const steps = {
  network: 'A network: one host, and room for virtual machines',
  controller: {
    standalone: 'The controller, and istiod that it starts',
    kubernetes: 'API server, node, istiod; the controller, a pod by helm install',
  },
  pools: {
    standalone: 'Two pools: `servers` serve echo.mooring.internal, `clients` call',
    kubernetes: 'A pool: `servers` serve echo.mooring.internal',
  },
  pod: 'client, a pod with the sidecar that Istio injects',
  boot: (vm: string, pool: string) => `${vm}, of pool ${pool}`,
  calls: (host: string) => `client calls http://${host}`,
  identity: 'who called, as the server sees it',
  plainText: (vm: string) => `plain text to ${vm}`,
  load: 'load: HTTP/1.1, HTTP/2, gRPC, downloads, TCP; retries are off',
  leave: (vm: string) => `SIGTERM to the agent of ${vm}`,
  cut: (vm: string) => `the power of ${vm} is cut: no goodbye, no packet`,
  counting: 'more requests, to see what came of it',
  closing: 'everything is taken away',
} as const

export const meshNote = (istio: string, url: string) =>
  `istiod ${istio}, STRICT mutual TLS; controller at ${url}`

/** The way of one VM into the mesh, in seconds from the start of its agent. */
export function booted({ conditions, firstAnswerMs }: BootFigures, downloaded: boolean): string {
  const words: readonly (readonly [string, string | undefined])[] = [
    ['Admitted', 'joined'],
    ['SidecarInstalled', downloaded ? 'sidecar fetched' : undefined],
    ['SidecarReady', 'Envoy ready'],
    ['TrafficCaptured', 'captured'],
    ['EndpointOpen', firstAnswerMs === undefined ? undefined : 'open'],
  ]
  const inSeconds = (ms: number) => (ms / 1000).toFixed(2)
  const known = words.flatMap(([type, word]) => {
    const ms = conditions[type]
    return ms === undefined || word === undefined ? [] : [`${word} ${inSeconds(ms)}`]
  })
  if (firstAnswerMs !== undefined) known.push(`answers ${inSeconds(firstAnswerMs)}`)
  return known.join(' · ')
}

export const answered = (by: readonly string[]) => `200 from ${by.join(' and from ')}`
export const identities = (caller: string | null, server: string | null) =>
  caller === null
    ? 'nobody: the call was not authenticated'
    : `${caller}\ncalled ${server ?? 'a server without a name'}`
export const refused = (error: string) =>
  `refused (${error}), though the application listens on that very port`
export const notRefused = (body: string) => `answered: ${body}`

export const requests = ({ failed, requests }: Count) => `${requests} requests, ${failed} failed`

export const left = ({ closedMs, leftMs }: Pick<ScaleInFigures, 'closedMs' | 'leftMs'>) =>
  `closed to its peers after ${duration(closedMs)}, drained and gone after ${duration(leftMs)}`

/** How a load fared, protocol by protocol. */
export function counted({ byProtocol }: LoadFigures): string {
  const each = Object.entries(byProtocol).map(
    ([name, { requests, failed }]) => `${name} ${failed} of ${requests}`,
  )
  return `failed: ${each.join(' · ')}`
}

export const closedAfterCut = (closedMs: number) =>
  closedMs <= powerCutLimitMs
    ? `closed to its peers after ${duration(closedMs)}: 5 s after its last heartbeat it is believed dead`
    : `closed to its peers only after ${duration(closedMs)}; ${duration(powerCutLimitMs)} were promised`

/** What the power cut cost. */
export function lost(figures: PowerCutFigures): string {
  const { failed, failingMs, failedAfterClosed } = figures
  if (failed === 0) return `${counted(figures)}\nluck: nothing was on its way to it`
  const after = failedAfterClosed === 0 ? 'none' : String(failedAfterClosed)
  return [
    counted(figures),
    `without retries these are lost: the last began ${duration(failingMs)} after the cut, ${after} after it was closed`,
  ].join('\n')
}

/** The last word: what was promised, and what came of it. */
export function verdict(promises: readonly Promised[], ms: number): readonly string[] {
  const broken = promises.filter(({ kept }) => !kept)
  if (broken.length === 0) return ['', `All ${promises.length} promises were kept, in ${duration(ms)}.`]
  return ['', 'Not as promised:', ...broken.map(({ promise }) => `  ✗ ${promise}`)]
}

/** What a person can do while it stays up. */
export function toTry(guide: {
  readonly environment: Readonly<Record<string, string>>
  readonly aliases: Readonly<Record<string, string>>
  /** What makes a call from the client. */
  readonly call: string
  readonly server: string
  readonly withoutPower: string
  readonly namespace: string
}): readonly string[] {
  const { environment, aliases, call, server, withoutPower, namespace } = guide
  const rows = [
    ['mooring vm list', 'all of them'],
    ['mooring vm watch', 'live, while you do the following'],
    [`mooring vm explain ${withoutPower}`, 'why the one without power is not ready'],
    [`mooring vm drain ${server} --wait`, 'take the last server out, in order'],
    ['mooring audit', 'who did what'],
  ] as const
  const width = Math.max(...rows.map(([command]) => command.length))
  return [
    '',
    'It stays up. In another terminal, as root:',
    '',
    ...Object.entries(environment).map(([name, value]) => `  export ${name}=${value}`),
    ...Object.entries(aliases).map(([name, value]) => `  alias ${name}='${value}'`),
    '',
    ...rows.map(([command, about]) => `  ${command.padEnd(width)}   # ${about}`),
    '',
    '  # a call from the client, through its sidecar',
    `  ${call}`,
    '  # the rules that capture the traffic of a VM',
    `  nsenter --net=${namespace} iptables-save -t nat`,
    '',
    'Ctrl-C takes everything away.',
  ]
}

import type { Test } from 'tap'
import { type Client, createClient } from '../../controller/kubernetes/client.ts'
import { createConnection } from '../../controller/kubernetes/connection.ts'
import { readAccess } from '../../controller/kubernetes/kubeconfig.ts'
import { createKubernetesStore, type KubernetesStoreDeps } from '../../controller/store/kubernetes/store.ts'
import type { VmRecord } from '../../controller/store/records.ts'
import { systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { Secret } from '../../shared/secret.ts'

/** A client over a connection of its own, closed with the test. */
export function clientOf(t: Pick<Test, 'teardown'>, kubeconfig: string): Client {
  const connection = createConnection({
    access: () => readAccess({ text: new Secret(kubeconfig) }),
    clock: systemClock,
  })
  t.teardown(() => connection.close())
  return createClient({ connection, unavailable: 'STORE_UNAVAILABLE' })
}

export function openKubernetesStore(client: Client, over: Partial<KubernetesStoreDeps> = {}) {
  return createKubernetesStore(
    {
      client,
      namespace: 'mooring-system',
      rules: () => {},
      clock: systemClock,
      log: silentLog,
      random: Math.random,
      ...over,
    },
    new AbortController().signal,
  )
}

/** A VM's record with every field there is. */
export const fullRecord: VmRecord = {
  pool: 'web',
  method: 'token',
  keyThumbprint: 'ab'.repeat(32),
  address: '10.0.0.7',
  hostname: 'web-1',
  arch: 'amd64',
  nics: [{ interface: 'eth0', address: '10.0.0.7', prefix: 24 }],
  bootId: '3b1c',
  admittedAt: 1_800_000_000_123,
  createdAt: 1_800_000_000_001,
  drain: {
    reason: 'operator',
    after: 'leave',
    requestedAt: 1_800_000_000_456,
    by: 'operator:ada',
    deadlineSeconds: 2.5,
  },
  revoked: { at: 1, by: 'operator:ada', evictUntil: 1_800_000_600_000, now: false },
  artifact: { version: '1.29.1', arch: 'amd64', sha256: 'cd'.repeat(32), size: 1000 },
  update: {
    since: 1_800_000_000_789,
    before: { version: '1.29.0', arch: 'amd64', sha256: 'ef'.repeat(32), size: 999 },
    served: true,
  },
  restart: { since: 1_800_000_001_000 },
  restartPending: true,
  refusedArtifact: { sha256: '01'.repeat(32), at: 1_800_000_000_999, why: 'it did not get ready' },
  phase: 'ready',
  phaseSince: 1_800_000_000_500,
  health: 'healthy',
  conditions: [
    { type: 'Ready', status: 'True', reason: 'Serves', message: 'in the mesh', since: 1_800_000_000_500 },
  ],
  stream: { owner: 'controller-0', epoch: 7, since: 1_800_000_000_400 },
  lastSeenAt: 1_800_000_000_600,
  certificateExpiresAt: 1_800_086_400_000,
  certificateIssuer: 'sha256:00',
  workloadCertificateUntil: 1_800_007_200_000,
  trust: 'r00t',
  agentVersion: '0.1.0',
  sidecarVersion: '1.29.1',
  sidecarRestarts: 2,
  bundleRevision: 'r1',
  facts: { kernel: '6.1', 'os.name': 'Debian' },
}

/** Any record, also such as no schema foresees. */
export function leftOut<T extends object, K extends keyof T>(record: T, ...keys: readonly K[]): Omit<T, K> {
  const rest: Partial<T> = { ...record }
  for (const key of keys) delete rest[key]
  return rest as Omit<T, K>
}

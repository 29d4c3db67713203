import type { OperatorView, PoolView, VmView } from '../../../shared/api/operator.ts'

/** A moment to count from. */
export const now = 1_800_000_000_000

export function vmSample(over: Partial<VmView> = {}): VmView {
  return {
    id: 'vm-0a1b2c',
    pool: 'web',
    phase: 'ready',
    phaseSince: now - 60_000,
    address: '10.0.0.7',
    health: 'healthy',
    conditions: [
      { type: 'Admitted', status: 'True', reason: 'Joined', message: '', since: now - 90_000 },
      { type: 'SidecarReady', status: 'True', reason: 'Ready', message: '', since: now - 60_000 },
    ],
    method: 'token',
    hostname: 'web-1',
    arch: 'amd64',
    agentVersion: '0.1.0',
    sidecarVersion: '1.29.1',
    sidecarRestarts: 0,
    nics: [{ interface: 'eth0', address: '10.0.0.7', prefix: 24 }],
    facts: { os: 'Debian 12' },
    identity: 'spiffe://cluster.local/ns/shop/sa/web',
    certificateExpiresAt: now + 86_400_000,
    connected: true,
    lastHeard: now - 1000,
    revoked: false,
    createdAt: now - 90_000,
    ...over,
  }
}

export function poolSample(over: Partial<PoolView> = {}): PoolView {
  return {
    name: 'web',
    spec: {
      namespace: 'shop',
      serviceAccount: 'web',
      service: {
        host: 'web.shop.internal',
        ports: [{ name: 'http', number: 80, target: 8080, protocol: 'HTTP' }],
      },
      join: { methods: ['token', 'renew'], cidrs: ['10.0.0.0/24'] },
    },
    createdAt: now - 1000,
    updatedAt: now - 1000,
    counts: { ready: 2, lost: 1 },
    ...over,
  }
}

export const me: OperatorView = {
  name: 'ada',
  role: 'admin',
  pools: ['*'],
  createdAt: now,
  expiresAt: now + 86_400_000,
}

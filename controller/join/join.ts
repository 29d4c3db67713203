import type { JoinRequest, JoinResponse } from '../../shared/api/join.ts'
import { compatibleWire, wireVersion } from '../../shared/api/wire.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Audit } from '../audit.ts'
import { secretHash } from '../auth/secret-hash.ts'
import type { Effects } from '../effects.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Metrics } from '../metrics.ts'
import { agentUri } from '../pki/agent-identity.ts'
import type { Authority } from '../pki/authority.ts'
import { type CertificateRequest, readCertificateRequest } from '../pki/certificate-request.ts'
import type { ResourceStore, Stored } from '../store/resource-store.ts'
import { canonicalAddress } from './address.ts'
import { type Admission, type AdmissionQuestion, type Admitted, decideAdmission } from './admission.ts'
import type { Challenges } from './challenge.ts'
import { withDeadline } from './deadline.ts'
import { createNeighbours } from './neighbours.ts'
import { checkProof } from './proof.ts'
import type { Serial } from './serial.ts'
import { createSuspicions } from './suspicions.ts'
import type { Throttle } from './throttle.ts'
import { tokenName } from './token.ts'

/** What a join needs of the fleet. */
export type JoinFleet = Pick<Fleet, 'isLive' | 'hearing' | 'holdsStream' | 'enqueue' | 'settle' | 'bundle'>

export interface JoinSettings {
  readonly trustDomain: string
  /** Network of the pools that name none. */
  readonly network: string
  readonly agentCertificateMs: number
  /** Whether sidecars capture and serve IPv6. */
  readonly dualStack: boolean
  /** Life of a workload token and of a certificate got with it, together. */
  readonly workloadMs: number
  /** Longest time for one join, without waiting for a place. */
  readonly deadlineMs: number
}

export interface JoinDeps {
  readonly store: ResourceStore
  readonly fleet: JoinFleet
  readonly authority: Pick<Authority, 'pin' | 'signAgent'>
  /** PEM: what agents trust the controller by. */
  readonly controllerCa: () => string
  readonly challenges: Challenges
  readonly throttle: Throttle
  readonly serial: Serial
  readonly clock: Clock
  readonly log: Log
  readonly audit: Audit
  readonly effects: Effects
  readonly metrics: Metrics
  readonly settings: JoinSettings
}

/**
 * Admits joiners; see `decideAdmission` for the rules, and `controller/effects.ts` for the order of effects.
 *
 * @remarks `waits` is aborted when the joiner hangs up. Nobody is admitted who does not wait for it: a VM that left
 * meanwhile would be back, with nobody to take it out again but its silence.
 */
export type Join = (request: JoinRequest, peer: string, waits?: AbortSignal) => Promise<JoinResponse>

type Judged =
  | { readonly vm: string; readonly admitted: Admitted }
  | { readonly vm: string; readonly refused: MooringError; readonly cloned: boolean }

export function createJoin(deps: JoinDeps): Join {
  const { store, fleet, authority, challenges, clock, log, audit, effects, metrics, settings } = deps
  const suspicions = createSuspicions()
  const neighbours = createNeighbours({ store })

  /** Everything up to the proof of the key: needs no store, and costs a stranger more than the controller. */
  async function prove(request: JoinRequest): Promise<CertificateRequest> {
    if (!compatibleWire(request.wire)) {
      throw new MooringError('WIRE_VERSION_UNSUPPORTED', {
        detail: `the agent speaks ${request.wire}, the controller ${wireVersion}`,
      })
    }
    challenges.check(request.proof.nonce)
    const csr = await readCertificateRequest(request.csr)
    checkProof(request, csr.publicKey)
    challenges.claim(request.proof.nonce, csr.thumbprint)
    return csr
  }

  async function gather(request: JoinRequest, peer: string, key: string): Promise<AdmissionQuestion> {
    const { pool, facts, evidence } = request
    const vm = vmName(key)
    const hash = evidence.method === 'token' ? secretHash(evidence.token) : ''
    const [own, pools, token] = [
      await store.get('vm', vm),
      await store.list('pool'),
      hash === '' ? undefined : await store.get('token', tokenName(hash)),
    ]
    const others = await neighbours.at(possibleAddresses(request, peer, own), vm)
    const now = clock.now()
    return {
      now,
      peer,
      pool,
      facts,
      evidence:
        evidence.method === 'token'
          ? { method: 'token', stored: token, hash }
          : { method: 'renew', claimed: evidence.vm },
      key,
      vm,
      pools: new Map(pools.map((p) => [p.name, p.value])),
      network: settings.network,
      own,
      stream: {
        ...fleet.hearing(vm),
        isOwn:
          evidence.method === 'renew' &&
          evidence.session !== undefined &&
          fleet.holdsStream(vm, evidence.session),
      },
      suspectedSince: suspicions.since(vm, newcomerOf(request, peer), now),
      others,
      isLive: fleet.isLive,
      certificateMs: settings.agentCertificateMs,
      certificateIssuer: authority.pin,
      dualStack: settings.dualStack,
      // The token is minted later than this, within the time of the join: known now, it needs no second write.
      workloadMs: settings.workloadMs + settings.deadlineMs,
    }
  }

  /** Everything that an admission reads and another could write: joins without any of it in common do not meet. */
  async function touched(request: JoinRequest, peer: string, key: string): Promise<readonly string[]> {
    const { evidence } = request
    const vm = vmName(key)
    const addresses = possibleAddresses(request, peer, await store.get('vm', vm))
    return [
      `vm/${vm}`,
      ...(evidence.method === 'token' ? [`token/${tokenName(secretHash(evidence.token))}`] : []),
      ...addresses.map((address) => `address/${address}`),
    ]
  }

  /** Decides and commits; again when somebody else wrote in between. */
  async function admit(request: JoinRequest, peer: string, key: string): Promise<Judged> {
    const backoff = createBackoff({ baseMs: 5, maxMs: 200 })
    for (;;) {
      const question = await gather(request, peer, key)
      const { vm, now } = question
      const admission: Admission = decideAdmission(question)
      if ('refused' in admission) {
        if (admission.suspicion === 'new') suspicions.note(vm, newcomerOf(request, peer), now)
        const { code, ...options } = admission.refused
        return { vm, refused: new MooringError(code, options), cloned: admission.suspicion === 'confirmed' }
      }
      try {
        await effects.run('admission-committed', () => store.commit(admission.admitted.writes))
        suspicions.forget(vm)
        return { vm, admitted: admission.admitted }
      } catch (error) {
        if (!isMooringError(error, 'CONFLICT') || backoff.attempts >= 20) throw error
        await clock.sleep(backoff.next())
      }
    }
  }

  async function record(request: JoinRequest, peer: string, judged: Judged): Promise<void> {
    const { pool, evidence, facts } = request
    const refused = 'refused' in judged ? judged.refused : undefined
    const evicted = 'admitted' in judged ? judged.admitted.evicted : []
    const detail = [
      `pool ${pool}, method ${evidence.method}, host ${printable(facts.hostname)}`,
      ...(evicted.length > 0 ? [`takes the address of ${evicted.join(', ')}`] : []),
      ...(refused?.detail !== undefined ? [refused.detail] : []),
    ].join('; ')
    metrics.count('mooring_joins_total', { method: evidence.method, result: refused?.code ?? 'admitted' })
    if (evicted.length > 0) metrics.count('mooring_evictions_total', {}, evicted.length)
    log.info(refused === undefined ? 'joiner admitted' : 'joiner refused', {
      vm: judged.vm,
      pool,
      method: evidence.method,
      peer,
      ...(refused !== undefined && { code: refused.code, detail: refused.detail }),
    })
    if ('refused' in judged && judged.cloned) {
      metrics.count('mooring_clones_total', {})
      log.warn('another machine shows the identity of a live VM', { vm: judged.vm, peer })
    }
    await audit.record({
      actor: `vm:${judged.vm}`,
      action: 'join',
      target: `vm/${judged.vm}`,
      outcome: refused === undefined ? 'allowed' : 'denied',
      ...(refused !== undefined && { code: refused.code }),
      detail,
      address: peer,
    })
  }

  async function equip(vm: string, admitted: Admitted, csr: CertificateRequest, signal: AbortSignal) {
    for (const other of admitted.evicted) fleet.enqueue(other)
    await fleet.settle(vm, signal)
    const bundle = await fleet.bundle(vm, signal)
    const certificate = await effects.run('certificate-signed', () =>
      authority.signAgent({
        vm,
        uri: agentUri(settings.trustDomain, vm),
        spki: csr.spki,
        notAfter: admitted.record.certificateExpiresAt,
      }),
    )
    metrics.count('mooring_certificates_total', { kind: 'agent' })
    return { wire: wireVersion, vm, certificate, controllerCa: deps.controllerCa(), bundle }
  }

  return (request, remoteAddress, waits) => {
    const { evidence } = request
    // Who renews over its open stream has its sidecar at istiod already.
    const brings = evidence.method !== 'renew' || evidence.session === undefined
    return deps.throttle.run(() => joined(request, remoteAddress, waits), brings)
  }

  function joined(request: JoinRequest, remoteAddress: string, waits: AbortSignal | undefined) {
    return withDeadline(clock, settings.deadlineMs, 'the join', async (signal) => {
      const started = clock.now()
      const peer = canonicalAddress(remoteAddress)
      if (peer === undefined) throw new MooringError('ADDRESS_NOT_ALLOWED', { detail: 'no address' })
      const csr = await refusedInPublic(request, peer, () => prove(request))
      const judged = await deps.serial.beside(await touched(request, peer, csr.thumbprint), async () => {
        signal.throwIfAborted()
        waits?.throwIfAborted()
        return admit(request, peer, csr.thumbprint)
      })
      await record(request, peer, judged)
      if ('refused' in judged) throw judged.refused
      const response = await equip(judged.vm, judged.admitted, csr, signal)
      const { method } = request.evidence
      metrics.observe('mooring_join_seconds', { method }, (clock.now() - started) / 1000)
      return response
    })
  }

  /** A refusal before the key is proven: whose it was is not known. */
  async function refusedInPublic<T>(request: JoinRequest, peer: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isMooringError(error) || error.code === 'UNAVAILABLE') throw error
      const { method } = request.evidence
      metrics.count('mooring_joins_total', { method, result: error.code })
      log.info('joiner refused', { pool: request.pool, method, peer, code: error.code, detail: error.detail })
      await audit.record({
        actor: 'anonymous',
        action: 'join',
        target: `pool/${request.pool}`,
        outcome: 'denied',
        code: error.code,
        ...(error.detail !== undefined && { detail: error.detail }),
        address: peer,
      })
      throw error
    }
  }
}

/** The id of the VM with this key: made by the controller, the same for every repetition of a join. */
export function vmName(keyThumbprint: string): string {
  return `vm-${keyThumbprint.slice(0, 20)}`
}

/** Whatever address the joiner gets is one of these. */
function possibleAddresses(
  { facts }: JoinRequest,
  peer: string,
  own: Stored<'vm'> | undefined,
): readonly string[] {
  const said = facts.nics.map(({ address }) => canonicalAddress(address))
  return [peer, own?.value.address, ...said].filter((address) => address !== undefined)
}

function newcomerOf({ facts }: JoinRequest, peer: string): string {
  return `${facts.bootId} ${peer}`
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}

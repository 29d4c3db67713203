import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { isMooringError, MooringError } from '../../../shared/errors.ts'
import { Secret } from '../../../shared/secret.ts'
import type { Client } from '../../kubernetes/client.ts'
import { managed } from '../identity-labels.ts'
import type { MintedToken, MintRequest } from '../mesh.ts'
import { rootNamespace } from '../objects.ts'
import { ownerLabel, ownerValue } from './ownership.ts'
import { meshTypes, secretType } from './resource-types.ts'

/** Issues workload tokens, each bound to a Secret of its VM: when that is deleted, no token of the VM is good. */
export interface Tokens {
  /** Throws `IDENTITY_NOT_DECLARED` for what no pool declares. */
  mint(request: MintRequest, signal: AbortSignal): Promise<MintedToken>
  /** Ends every token of the VM in that namespace. */
  revoke(vm: string, namespace: string, signal: AbortSignal): Promise<void>
}

export interface TokensDeps {
  readonly client: Client
  readonly owner: string
  /** `<namespace>/<service account>` of every pool. */
  readonly declared: () => ReadonlySet<string>
  /** Where istiod runs: nobody gets an identity of it. */
  readonly istioNamespace: string
  /** Makes the service account when it is missing. */
  readonly ensureAccount: (namespace: string, name: string, signal: AbortSignal) => Promise<void>
}

/** What istiod asks the API server for (istio pkg/security/security.go, `TokenAudiences`). */
const audience = 'istio-ca'
/** The API server's own least (kubernetes pkg/apis/authentication/validation). */
const leastTtlSeconds = 600
const mostTtlSeconds = 24 * 3600
const mostTries = 3

const TokenAnswer = Type.Object({
  status: Type.Object({
    token: Type.String({ minLength: 1, maxLength: 16_384 }),
    expirationTimestamp: Type.String(),
  }),
})

export function createTokens(deps: TokensDeps): Tokens {
  const { client, owner, declared, istioNamespace, ensureAccount } = deps
  /** VMs whose Secret is there as far as this process knows. */
  const anchored = new Set<string>()

  /** The Secret holds nothing: its life is what counts. */
  async function anchor(vm: string, namespace: string, signal: AbortSignal): Promise<void> {
    const key = `${namespace}/${vm}`
    if (anchored.has(key)) return
    const labels = { ...managed, [ownerLabel]: ownerValue(owner) }
    const metadata = { name: anchorName(vm), namespace, labels }
    const secret = { metadata, type: 'mesh.mooring/token-anchor', immutable: true }
    try {
      await client.create(secretType, secret, { signal })
    } catch (error) {
      if (!isMooringError(error, 'CONFLICT')) throw error
    }
    anchored.add(key)
  }

  async function request({ namespace, serviceAccount, vm, ttlSeconds }: MintRequest, signal: AbortSignal) {
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: [audience],
        expirationSeconds: Math.round(Math.min(Math.max(ttlSeconds, leastTtlSeconds), mostTtlSeconds)),
        boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name: anchorName(vm) },
      },
    }
    const at = { namespace, name: serviceAccount }
    const options = { subresource: 'token', signal }
    return client.post<unknown>(meshTypes.ServiceAccount, at, body, options)
  }

  return {
    async mint(wanted, signal) {
      const { namespace, serviceAccount, vm } = wanted
      const identity = `${namespace}/${serviceAccount}`
      if (namespace === rootNamespace || namespace === istioNamespace || !declared().has(identity)) {
        throw new MooringError('IDENTITY_NOT_DECLARED', { detail: identity })
      }
      for (let tries = 1; ; tries += 1) {
        try {
          await anchor(vm, namespace, signal)
          return minted(await request(wanted, signal))
        } catch (error) {
          if (!isMooringError(error, 'NOT_FOUND')) throw error
          if (tries === mostTries) {
            throw new MooringError('MESH_NAMESPACE_MISSING', { detail: identity, cause: error })
          }
          // One of the two is gone, or not there yet: both are made sure of.
          anchored.delete(`${namespace}/${vm}`)
          await ensureAccount(namespace, serviceAccount, signal)
        }
      }
    },
    async revoke(vm, namespace, signal) {
      anchored.delete(`${namespace}/${vm}`)
      await client.remove(secretType, { namespace, name: anchorName(vm) }, undefined, { signal })
    },
  }
}

/** The Secret that the tokens of a VM are bound to. */
export function anchorName(vm: string): string {
  return `mooring-vm-${vm}`
}

function minted(answer: unknown): MintedToken {
  const expiresAt = Value.Check(TokenAnswer, answer)
    ? Date.parse(answer.status.expirationTimestamp)
    : Number.NaN
  if (!Value.Check(TokenAnswer, answer) || !Number.isFinite(expiresAt)) {
    throw new MooringError('MESH_UNAVAILABLE', {
      detail: 'the API server answered a TokenRequest with no token',
    })
  }
  return { token: new Secret(answer.status.token), expiresAt }
}

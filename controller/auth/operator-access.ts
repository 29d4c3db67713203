import { readFile } from 'node:fs/promises'
import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Config } from '../config.ts'
import type { Authority } from '../pki/authority.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import { type Authenticator, createAuthenticator } from './authenticator.ts'
import { type Authorizer, createAuthorizer, createRoleAuthorizer } from './authorizer.ts'
import { createClusterAuthorizer } from './kubernetes/authorizer.ts'
import type { Reviews } from './kubernetes/reviews.ts'
import { fetchDocument } from './oidc/document.ts'
import { createKeySet } from './oidc/key-set.ts'
import { createOidc, type Oidc } from './oidc/oidc.ts'
import { createOperatorCertificates, type OperatorCertificates } from './operator-certificates.ts'
import { createOperators, type Operators } from './operators.ts'
import type { Principal } from './policy.ts'

export interface OperatorAccessDeps {
  readonly options: Config['operators']
  readonly authority: Pick<Authority, 'signOperator'>
  readonly trustDomain: string
  /** Absent where nobody comes by a cluster. */
  readonly reviews: Reviews | undefined
  readonly store: ResourceStore
  readonly clock: Clock
  readonly log: Log
}

/** Who operators are, and what they may do. */
export interface OperatorAccess {
  readonly operators: Operators
  readonly certificates: OperatorCertificates
  readonly authenticator: Authenticator
  readonly authorizer: Authorizer<Principal>
}

const documentLimits = { timeoutMs: 5_000, maxBytes: 256 * 1024 } as const

/** Puts together every way in which operators come. Throws `CONFIG_INVALID` for an authority that cannot be read. */
export async function createOperatorAccess(deps: OperatorAccessDeps): Promise<OperatorAccess> {
  const { options, reviews, store, authority, trustDomain, clock } = deps
  const admits = options.own === 'allowed'
  const operators = createOperators({ store, clock, admits })
  const certificates = createOperatorCertificates({ store, authority, trustDomain, clock, admits })
  return {
    ...{ operators, certificates },
    authenticator: createAuthenticator({ operators, certificates, reviews, oidc: await oidcOf(deps) }),
    authorizer: createAuthorizer({
      byRole: createRoleAuthorizer({ store }),
      byCluster: reviews && createClusterAuthorizer({ reviews, store }),
    }),
  }
}

async function oidcOf({ options, clock, log }: OperatorAccessDeps): Promise<Oidc | undefined> {
  const { issuer, caFile } = options.oidc
  if (issuer === '') return undefined
  const ca = caFile === '' ? undefined : await readAuthority(caFile)
  const fetch = (url: URL) => fetchDocument({ ...documentLimits, url, ca })
  return createOidc({ ...options.oidc, keys: createKeySet({ issuer, fetch, clock, log }), clock })
}

async function readAuthority(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MooringError('CONFIG_INVALID', {
      detail: `operators.oidc.caFile: ${file} cannot be read: ${errorText(cause)}`,
      cause,
    })
  })
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text
  throw new MooringError('CONFIG_INVALID', {
    detail: `operators.oidc.caFile: ${file} holds no certificate in PEM`,
  })
}

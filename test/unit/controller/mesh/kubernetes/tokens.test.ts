import t from 'tap'
import type { Client } from '../../../../../controller/kubernetes/client.ts'
import { createTokens } from '../../../../../controller/mesh/kubernetes/tokens.ts'
import { MooringError } from '../../../../../shared/errors.ts'

const { signal } = new AbortController()
const request = { namespace: 'shop', serviceAccount: 'web', vm: 'vm-1', ttlSeconds: 60 }
const answer = { status: { token: 'the-token', expirationTimestamp: '2026-01-01T00:10:00Z' } }

/** An API server whose answers to a TokenRequest are given; a Secret is made once. */
function open(answers: readonly unknown[]) {
  const left = [...answers]
  const calls: string[] = []
  const bodies: unknown[] = []
  const client = {
    create: async () => {
      calls.push('create secret')
      if (calls.filter((call) => call === 'create secret').length > 1) throw new MooringError('CONFLICT')
    },
    post: async (_type: unknown, _at: unknown, body: unknown) => {
      calls.push('request token')
      bodies.push(body)
      const next = left.shift()
      if (next instanceof MooringError) throw next
      return next
    },
    remove: async () => void calls.push('delete secret'),
  } as unknown as Client
  const tokens = createTokens({
    client,
    owner: 'here',
    istioNamespace: 'mesh-system',
    declared: () => new Set(['shop/web', 'istio-system/istiod', 'mesh-system/istiod']),
    ensureAccount: async () => void calls.push('ensure account'),
  })
  return { tokens, calls, bodies }
}

t.test('a token is bound to the Secret of its VM, which is made once', async (t) => {
  const { tokens, calls, bodies } = open([answer, answer])
  const { token, expiresAt } = await tokens.mint(request, signal)
  t.equal(token.reveal(), 'the-token')
  t.equal(expiresAt, Date.parse('2026-01-01T00:10:00Z'))
  await tokens.mint(request, signal)
  t.same(calls, ['create secret', 'request token', 'request token'])
  t.match(bodies[0], {
    spec: {
      audiences: ['istio-ca'],
      expirationSeconds: 600,
      boundObjectRef: { kind: 'Secret', name: 'mooring-vm-vm-1' },
    },
  })
})

t.test('what is gone meanwhile is made again', async (t) => {
  const { tokens, calls } = open([new MooringError('NOT_FOUND'), answer])
  await tokens.mint(request, signal)
  t.same(calls, ['create secret', 'request token', 'ensure account', 'create secret', 'request token'])
  const lost = open(Array.from({ length: 9 }, () => new MooringError('NOT_FOUND')))
  await t.rejects(lost.tokens.mint(request, signal), { code: 'MESH_NAMESPACE_MISSING' })
})

t.test('after a revocation the Secret is made anew', async (t) => {
  const { tokens, calls } = open([answer, answer])
  await tokens.mint(request, signal)
  await tokens.revoke('vm-1', 'shop', signal)
  await tokens.mint(request, signal)
  t.same(calls.slice(2), ['delete secret', 'create secret', 'request token'])
})

t.test('nothing is minted for what no pool declares, nor for istiod’s own namespace', async (t) => {
  const { tokens, calls } = open([])
  for (const identity of [
    { namespace: 'shop', serviceAccount: 'admin' },
    { namespace: 'istio-system', serviceAccount: 'istiod' },
    { namespace: 'mesh-system', serviceAccount: 'istiod' },
  ]) {
    await t.rejects(tokens.mint({ ...request, ...identity }, signal), { code: 'IDENTITY_NOT_DECLARED' })
  }
  t.same(calls, [])
})

t.test('an answer without a token is no token', async (t) => {
  for (const wrong of [{}, { status: { token: 'x', expirationTimestamp: 'never' } }]) {
    const { tokens } = open([wrong])
    await t.rejects(tokens.mint(request, signal), { code: 'MESH_UNAVAILABLE' })
  }
})

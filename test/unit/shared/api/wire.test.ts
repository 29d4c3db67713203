import fc from 'fast-check'
import t from 'tap'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import {
  Bundle,
  Capture,
  Drain,
  Probe,
  SidecarArtifact,
  WorkloadPort,
} from '../../../../shared/api/bundle.ts'
import {
  Challenge,
  Evidence,
  JoinRequest,
  JoinResponse,
  Problem,
  proofText,
} from '../../../../shared/api/join.ts'
import {
  AuditRecord,
  DrainCreate,
  Enrol,
  OperatorCreate,
  OperatorCreated,
  OperatorView,
  Pool,
  PoolView,
  TokenCreate,
  TokenCreated,
  TokenView,
  VmExplanation,
  VmView,
} from '../../../../shared/api/operator.ts'
import { AgentStatus, Down, Up } from '../../../../shared/api/stream.ts'
import { WhoAmI } from '../../../../shared/api/who-am-i.ts'
import { Address, Cidr, compatibleWire, Name, paths, wireVersion } from '../../../../shared/api/wire.ts'
import { valuesOf } from './schema-values.ts'

/** Read by a program that may be older than the writer: keys it does not know must not disturb it. */
const open = {
  Challenge,
  Evidence,
  JoinRequest,
  JoinResponse,
  Problem,
  Bundle,
  Probe,
  Drain,
  Capture,
  WorkloadPort,
  SidecarArtifact,
  AgentStatus,
  Up,
  Down,
  PoolView,
  VmView,
  VmExplanation,
  TokenCreated,
  TokenView,
  OperatorCreated,
  OperatorView,
  WhoAmI,
  AuditRecord,
}

/** Written by people: a key that is not known is a mistake, and is said to be one. */
const closed = { Pool, TokenCreate, DrainCreate, OperatorCreate, Enrol }

const runs = { numRuns: 30 }

for (const [name, schema] of Object.entries<TSchema>({ ...open, ...closed })) {
  t.test(`${name} survives the way over the wire`, async (t) => {
    fc.assert(
      fc.property(valuesOf(schema), (value) => {
        const there: unknown = JSON.parse(JSON.stringify(value))
        return Value.Check(schema, value) && Value.Check(schema, there)
      }),
      runs,
    )
    t.pass('for values made from the schema')
  })
}

t.test('a reader ignores keys it does not know', async (t) => {
  for (const [name, schema] of Object.entries<TSchema>(open)) {
    const [value] = fc.sample(valuesOf(schema), { numRuns: 1, seed: 1 })
    t.equal(Value.Check(schema, { ...(value as object), fromTheFuture: 1 }), true, name)
  }
})

t.test('what people write may hold no unknown key', async (t) => {
  for (const [name, schema] of Object.entries<TSchema>(closed)) {
    const [value] = fc.sample(valuesOf(schema), { numRuns: 1, seed: 1 })
    t.equal(Value.Check(schema, { ...(value as object), misspelt: 1 }), false, name)
  }
})

t.test('a required key that is missing is refused, in every schema', async (t) => {
  for (const [name, schema] of Object.entries<TSchema>({ ...open, ...closed })) {
    for (const key of (schema as { required?: readonly string[] }).required ?? []) {
      const [value] = fc.sample(valuesOf(schema), { numRuns: 1, seed: 2 })
      const { [key]: _, ...rest } = value as Record<string, unknown>
      t.equal(Value.Check(schema, rest), false, `${name} without ${key}`)
    }
  }
})

t.test('versions one apart talk, others do not', async (t) => {
  t.same(
    [-2, -1, 0, 1, 2].map((distance) => compatibleWire(wireVersion + distance)),
    [false, true, true, true, false],
  )
  t.equal(compatibleWire(Number.NaN), false)
})

t.test('names are labels of RFC 1123', async (t) => {
  for (const good of ['a', 'web-1', 'a'.repeat(63)]) t.equal(Value.Check(Name, good), true, good)
  for (const bad of ['', '-a', 'a-', 'A', 'a.b', 'a/b', 'a'.repeat(64), '../x', 'a\n', 'ä']) {
    t.equal(Value.Check(Name, bad), false, JSON.stringify(bad))
  }
})

t.test('addresses hold nothing that a shell, a path or a rule could take for more', async (t) => {
  for (const good of ['10.0.0.1', '::1', 'fd00::a:1']) t.equal(Value.Check(Address, good), true, good)
  for (const bad of ['10.0.0.1 ', '10.0.0.1;x', '-1', '$(x)', '1.2.3.4\n', 'x'.repeat(46)]) {
    t.equal(Value.Check(Address, bad), false, JSON.stringify(bad))
  }
  t.equal(Value.Check(Cidr, '10.0.0.0/8'), true)
  t.equal(Value.Check(Cidr, '10.0.0.0'), false)
})

t.test('the text that a join signs differs whenever a part of it does', async (t) => {
  const part = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/)
  const input = fc.record({ nonce: part, method: part, pool: part, csrSha256: part })
  fc.assert(
    fc.property(
      input,
      input,
      (a, b) => (proofText(a) === proofText(b)) === (JSON.stringify(a) === JSON.stringify(b)),
    ),
  )
  t.match(proofText({ nonce: 'n', method: 'token', pool: 'p', csrSha256: 'c' }), /^mooring-join-v1\n/)
})

t.test('the path of a sidecar holds its digest', async (t) => {
  t.equal(paths.sidecar('ab12'), '/v1/sidecar/ab12')
})

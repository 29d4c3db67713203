import t from 'tap'
import { poolFacts } from '../../../../controller/mesh/pool-facts.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { poolOf, sampleFacts, webSpec } from './sample.ts'

t.test('a pool has the facts of the revision that it names', async (t) => {
  const facts = (revision?: string) => ({ ...sampleFacts, meshId: revision ?? 'own' })
  t.equal(poolFacts({ facts }, poolOf(webSpec))?.meshId, 'own')
  t.equal(poolFacts({ facts }, poolOf({ ...webSpec, revision: 'canary' }))?.meshId, 'canary')
})

t.test('nothing is known of a revision that is not there, and other faults are told', async (t) => {
  const failing = (code: 'MESH_FACTS_MISSING' | 'MESH_UNAVAILABLE') => ({
    facts: () => {
      throw new MooringError(code)
    },
  })
  t.equal(poolFacts(failing('MESH_FACTS_MISSING'), poolOf(webSpec)), undefined)
  t.throws(() => poolFacts(failing('MESH_UNAVAILABLE'), poolOf(webSpec)), { code: 'MESH_UNAVAILABLE' })
})

import t from 'tap'
import { type Change, createRoster } from '../../../../controller/fleet/roster.ts'
import { openDatabase } from '../../../../controller/store/database.ts'
import type { PoolRecord, VmRecord } from '../../../../controller/store/records.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import { silentLog } from '../../../../shared/log.ts'
import { now, record, webPool } from './situations.ts'

function rostered(network = '') {
  const store = createSqliteStore({ database: openDatabase({ file: ':memory:' }), log: silentLog })
  const changes: Change[] = []
  const roster = createRoster({ store, network: () => network, changed: (change) => changes.push(change) })
  const vm = async (name: string, changes: Partial<VmRecord>) => {
    const version = (await store.get('vm', name))?.version
    const value = record(changes)
    await store.commit([{ put: 'vm', name, value, ...(version !== undefined && { version }) }])
    await roster.refresh('vm', name)
    return value
  }
  const pool = async (name: string, value: PoolRecord) => {
    await store.commit([{ put: 'pool', name, value }])
    await roster.refresh('pool', name)
  }
  return { store, roster, changes, vm, pool }
}

const networked = (network: string): PoolRecord => ({
  ...webPool,
  spec: { ...webPool.spec, address: { cidr: '10.0.0.0/8', network } },
})

t.test('an address belongs to the newest VM that is admitted at it and still here', async (t) => {
  const { roster, vm, pool } = rostered()
  await pool('web', webPool)
  const old = await vm('vm-1', { phase: 'lost', admittedAt: now - 9 })
  const fresh = await vm('vm-2', { phase: 'joining', admittedAt: now })
  t.equal(roster.ownerOf('vm-1', old), 'vm-2')
  t.equal(roster.ownerOf('vm-2', fresh), 'vm-2')
  t.same([...roster.at(old)].sort(), ['vm-1', 'vm-2'])
  const left = await vm('vm-2', { phase: 'left', admittedAt: now })
  t.equal(roster.ownerOf('vm-1', old), 'vm-1', 'it is free again')
  t.equal(roster.ownerOf('vm-2', left), 'vm-1')
  const alone = record({ phase: 'left', address: '10.9.9.9' })
  t.equal(roster.ownerOf('vm-3', alone), 'vm-3')
})

t.test('of two admitted in the same millisecond, both say the same one', async (t) => {
  const { roster, vm } = rostered()
  const one = await vm('vm-1', { phase: 'joined', admittedAt: now })
  const two = await vm('vm-2', { phase: 'joined', admittedAt: now })
  t.equal(roster.ownerOf('vm-1', one), roster.ownerOf('vm-2', two))
})

t.test('one address in two networks belongs to two VMs', async (t) => {
  const { roster, vm, pool } = rostered('east')
  await pool('web', webPool)
  await pool('same', networked('east'))
  await pool('other', networked('west'))
  const here = await vm('vm-1', { phase: 'joined', admittedAt: now - 9 })
  const there = await vm('vm-2', { phase: 'joined', pool: 'other' })
  t.equal(roster.ownerOf('vm-1', here), 'vm-1')
  t.equal(roster.ownerOf('vm-2', there), 'vm-2')
  await vm('vm-3', { phase: 'joined', pool: 'same', admittedAt: now })
  t.equal(roster.ownerOf('vm-1', here), 'vm-3', 'a pool that names no network has the default one')
})

t.test('the other endpoints of a service are those of all its pools', async (t) => {
  const { roster, vm, pool } = rostered()
  await pool('web', webPool)
  await pool('canary', webPool)
  await pool('elsewhere', { ...webPool, spec: { ...webPool.spec, namespace: 'elsewhere' } })
  const mine = await vm('vm-1', { phase: 'ready', address: '10.0.0.1' })
  t.equal(roster.otherEndpoints('vm-1', mine), 0)
  await vm('vm-2', { phase: 'ready', address: '10.0.0.2', pool: 'canary' })
  await vm('vm-3', { phase: 'ready', address: '10.0.0.3', pool: 'elsewhere' })
  await vm('vm-4', { phase: 'unhealthy', address: '10.0.0.4' })
  t.equal(roster.otherEndpoints('vm-1', mine), 1)
  await vm('vm-2', { phase: 'draining', address: '10.0.0.2', pool: 'canary' })
  t.equal(roster.otherEndpoints('vm-1', mine), 0)
})

t.test('it tells each change once, and a load finds what was missed', async (t) => {
  const { roster, vm, pool, store, changes } = rostered()
  await pool('web', webPool)
  await vm('vm-1', { phase: 'joining' })
  await roster.refresh('vm', 'vm-1')
  await roster.load()
  t.same(
    changes.map((c) => `${c.kind} ${c.name}`),
    ['pool web', 'vm vm-1'],
  )
  await store.commit([
    { remove: 'vm', name: 'vm-1' },
    { remove: 'pool', name: 'web' },
    { put: 'vm', name: 'vm-2', value: record() },
  ])
  await roster.load()
  t.same(
    changes.slice(2).map((c) => `${c.kind} ${c.name}`),
    ['pool web', 'vm vm-1', 'vm vm-2'],
  )
  t.same([...roster.vms().keys()], ['vm-2'])
  t.equal(roster.pool('web'), undefined)
})

t.test('a refresh knows at its end what was stored when it was asked for', async (t) => {
  const { roster, store } = rostered()
  for (let i = 0; i < 20; i += 1) {
    const version = (await store.get('vm', 'vm-1'))?.version
    const value = record({ sidecarRestarts: i })
    const early = roster.refresh('vm', 'vm-1')
    await store.commit([{ put: 'vm', name: 'vm-1', value, ...(version !== undefined && { version }) }])
    await roster.refresh('vm', 'vm-1')
    t.equal(roster.vm('vm-1')?.sidecarRestarts, i)
    await early
  }
})

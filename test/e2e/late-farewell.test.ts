import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { State } from '../../agent/state.ts'
import { call } from '../world/call.ts'
import { entriesIn } from '../world/entries.ts'
import { type Member, tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo, type World } from '../world/world.ts'

// A grace period that no test waits for: what is gone before is gone because the VM said so.
const patient = { liveness: { graceSeconds: 3_600 } }

t.test('VMs that leave while the controller is down are known as left when it is back', async (t) => {
  const world = await createWorld({ name: 'farewell', servers: patient })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('stays', 'servers')

  await t.test('the agent stays: its word is the first that the controller hears', async (t) => {
    const member = await world.boot('stays-idle', 'servers')
    const { id } = await member.view()
    await leaveAlone(world, member)
    await world.controller.start()
    await member.waitPhase('left')
    await gone(world, id)
    t.notOk((await stateOf(member)).left?.untold, 'and it is confirmed')
    t.match((await member.agent('join')).stdout, id)
    t.equal((await member.waitPhase('ready')).id, id, 'it may come back')
    await member.shutDown()
  })

  await t.test('the agent ends too: the next start says it, and joins anew', async (t) => {
    const member = await world.boot('restarts', 'servers')
    const { id } = await member.view()
    await leaveAlone(world, member)
    t.equal(await member.shutDown(), 0)
    await world.controller.start()
    t.not((await member.view()).phase, 'left', 'nobody has told it')
    await member.startAgent()
    const left = () => said(member, 'the controller knows now that this VM left')
    await waitFor(left, { what: 'it to be told', onTimeout: () => tail(member.agentLog) })
    t.equal((await member.waitPhase('ready')).id, id)
    t.notOk((await stateOf(member)).left)
    await waitFor(
      async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).body.includes('restarts'),
      { what: 'it to serve again' },
    )
    await member.shutDown()
  })
})

/** The controller dies, and an operator on the VM has it leave. */
async function leaveAlone(world: World, member: Member): Promise<void> {
  await world.controller.kill()
  const { code, stdout, stderr } = await member.agent('leave')
  if (code !== 0 || !stdout.includes('left')) throw new Error(`leave: ${code} ${stdout} ${stderr}`)
}

async function gone(world: World, id: string): Promise<void> {
  await waitFor(async () => !(await entriesIn(world.controller.dataDir)).includes(id), {
    what: 'its entry to be gone',
  })
}

async function said(member: Member, text: string): Promise<boolean> {
  return (await readFile(member.agentLog, 'utf8')).includes(text)
}

async function stateOf(member: Member): Promise<State> {
  return JSON.parse(await readFile(join(member.vm.root, 'var/lib/mooring/state.json'), 'utf8')) as State
}

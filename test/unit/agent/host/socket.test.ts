import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { askLocal, serveLocal } from '../../../../agent/host/socket.ts'
import { MooringError } from '../../../../shared/errors.ts'

async function place(t: Test): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mooring-socket-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return path.join(folder, 'run/agent.sock')
}

/** What comes back for these bytes. */
function raw(socket: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    const connection = connect(socket, () => connection.write(text))
    let answer = ''
    connection.on('data', (part) => {
      answer += part
    })
    connection.on('error', () => {})
    connection.once('close', () => resolve(answer))
  })
}

t.test('questions are answered, errors keep their code, and only root may ask', async (t) => {
  const file = await place(t)
  const server = await serveLocal(file, async ({ kind }) => {
    if (kind === 'leave') throw new MooringError('KEY_REVOKED', { detail: 'why' })
    if (kind === 'drain') throw new TypeError('odd')
    return { kind }
  })
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.same(await askLocal(file, { kind: 'status' }, 5_000), { kind: 'status' })
  await t.rejects(askLocal(file, { kind: 'leave' }, 5_000), { code: 'KEY_REVOKED', detail: 'why' })
  await t.rejects(askLocal(file, { kind: 'drain' }, 5_000), { code: 'INTERNAL', detail: 'odd' })
  await server.close()
  t.same(await readdir(path.dirname(file)), [])
})

t.test('nonsense is refused, and disturbs nobody', async (t) => {
  const file = await place(t)
  const server = await serveLocal(file, async () => 'well')
  for (const text of ['nonsense\n', '{"kind":"format-disk"}\n', '[]\n']) {
    t.match(JSON.parse(await raw(file, text)), { ok: false, code: 'REQUEST_INVALID' })
  }
  t.equal(await raw(file, 'x'.repeat(100_000)), '', 'too much is not answered')
  t.equal(await askLocal(file, { kind: 'status' }, 5_000), 'well')
  await server.close()
})

t.test('without an agent there is a code for it', async (t) => {
  const file = await place(t)
  await t.rejects(askLocal(file, { kind: 'status' }, 5_000), { code: 'NOT_RUNNING' })
})

t.test('what a dead agent left is replaced', async (t) => {
  const file = await place(t)
  await (await serveLocal(file, async () => 1)).close()
  await writeFile(file, '')
  await t.rejects(askLocal(file, { kind: 'status' }, 5_000), { code: 'NOT_RUNNING' })
  const server = await serveLocal(file, async () => 2)
  t.equal(await askLocal(file, { kind: 'status' }, 5_000), 2)
  await server.close()
})

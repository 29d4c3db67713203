import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { FakeAgent } from '../../fakes/agent.ts'
import { startController, type TestController } from '../../fakes/controller.ts'

interface Part {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly bytes: Buffer
}

function fetchPart(house: TestController, agent: FakeAgent, path: string, headers = {}): Promise<Part> {
  return new Promise((resolve, reject) => {
    const options = {
      ca: house.announcement.ca,
      key: agent.key.privatePem,
      cert: agent.joined?.certificate,
      agent: false,
      headers,
    }
    get(`${house.url}${path}`, options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) })
      })
    }).on('error', reject)
  })
}

t.test('the archive is handed out whole and in parts, as announced in the bundle', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-sidecar-'))
  const file = join(folder, 'sidecar.tar.gz')
  const content = randomBytes(300_000)
  writeFileSync(file, content)
  const house = await startController({
    config: { sidecar: { artifacts: [{ version: '1.29.1', arch: 'amd64', file }] } },
  })
  t.teardown(async () => {
    await house.close()
    rmSync(folder, { recursive: true })
  })
  await house.applyPool('web')
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const { bundle } = await agent.join()
  const sha256 = createHash('sha256').update(content).digest('hex')
  t.same(bundle.sidecar.artifacts, [{ version: '1.29.1', arch: 'amd64', sha256, size: content.length }])

  const path = `/v1/sidecar/${sha256}`
  const etag = `"${sha256}"`
  const whole = await fetchPart(house, agent, path)
  t.equal(whole.status, 200)
  t.ok(whole.bytes.equals(content))
  t.match(whole.headers, { etag, 'accept-ranges': 'bytes', 'content-length': '300000' })

  const rest = await fetchPart(house, agent, path, { range: 'bytes=100000-' })
  t.equal(rest.status, 206)
  t.equal(rest.headers['content-range'], 'bytes 100000-299999/300000')
  t.ok(rest.bytes.equals(content.subarray(100_000)))
  const middle = await fetchPart(house, agent, path, { range: 'bytes=5-9', 'if-range': etag })
  t.ok(middle.bytes.equals(content.subarray(5, 10)))
  const other = await fetchPart(house, agent, path, { range: 'bytes=5-9', 'if-range': '"another"' })
  t.same([other.status, other.bytes.length], [200, 300_000], 'a part of another archive is of no use')
  const beyond = await fetchPart(house, agent, path, { range: 'bytes=300000-' })
  t.same([beyond.status, beyond.headers['content-range']], [416, 'bytes */300000'])
  t.equal((await fetchPart(house, agent, path, { 'if-none-match': etag })).status, 304)

  t.equal((await fetchPart(house, agent, `/v1/sidecar/${'0'.repeat(64)}`)).status, 404)
  t.equal((await fetchPart(house, agent, '/v1/sidecar/..%2fetc%2fpasswd')).status, 400)
  writeFileSync(file, randomBytes(300_001))
  const replaced = await fetchPart(house, agent, path)
  t.equal(replaced.status, 503, 'never other bytes under this digest')
  t.match(replaced.bytes.toString(), 'ARTIFACT_UNAVAILABLE')
})

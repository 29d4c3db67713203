import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createAppliedFile } from '../../../../agent/capture/applied.ts'
import { createIptables } from '../../../../agent/capture/iptables.ts'
import { createRedirect } from '../../../../agent/capture/redirect.ts'
import type { ExecOptions } from '../../../../agent/host/exec.ts'

// A stand-in for the kernel; the real one is in test/e2e/agent/capture.test.ts.
const { signal } = new AbortController()
const rules = {
  apply: ['istio-iptables', '--reconcile'],
  cleanup: ['istio-iptables', '--cleanup-only'],
  basis: '',
}
const made = '*nat\n:ISTIO_INBOUND - [0:0]\n-A PREROUTING -p tcp -j ISTIO_INBOUND\nCOMMIT\n'

function world(t: Test, istio: { code: number; stdout?: string; makes?: string } = { code: 0 }) {
  const base = t.testdir()
  const calls: { line: string; options: ExecOptions }[] = []
  let kernel = ''
  let stubborn = false
  const appliedFile = createAppliedFile(join(base, 'capture.json'))
  const iptables = createIptables({
    path: '/bin',
    exec: async (command, args, options) => {
      calls.push({ line: [command, ...args].join(' '), options })
      const answer = { code: 0 as number, signal: null, stdout: '', stderr: '', timedOut: false }
      if (command === 'iptables-nft-save') return { ...answer, stdout: kernel }
      if (command.endsWith('-save')) return { ...answer, code: 127 }
      if (command.endsWith('-restore')) {
        if (!stubborn) kernel = ''
        return answer
      }
      if (args.includes('--reconcile') && istio.code === 0) kernel = istio.makes ?? made
      return { ...answer, ...istio }
    },
  })
  return {
    base,
    calls,
    appliedFile,
    redirect: createRedirect({ iptables, appliedFile }),
    set kernel(text: string) {
      kernel = text
    },
    set stubborn(value: boolean) {
      stubborn = value
    },
  }
}

t.test('programs get nothing but PATH, and the variant is named', async (t) => {
  const { redirect, calls } = world(t)
  await redirect.apply('/p/pilot-agent', rules, signal)
  const forced = { PATH: '/bin', FORCE_IPTABLES_BINARY: 'nft' }
  for (const { line, options } of calls)
    t.same(options.env, line.startsWith('/p') ? forced : { PATH: '/bin' })
  t.ok(calls.some(({ line }) => line === '/p/pilot-agent istio-iptables --reconcile'))
})

t.test('verify sees other rules, other arguments, another basis, and a record that is none', async (t) => {
  const it = world(t)
  t.notOk(await it.redirect.verify(rules, signal))
  await it.redirect.apply('/p', rules, signal)
  t.ok(await it.redirect.verify(rules, signal))
  t.notOk(await it.redirect.verify({ ...rules, apply: ['other'] }, signal))
  t.notOk(await it.redirect.verify({ ...rules, basis: 'other' }, signal))
  it.kernel = made.replace('-p tcp', '-p udp')
  t.notOk(await it.redirect.verify(rules, signal))
  it.kernel = ''
  t.notOk(await it.redirect.verify(rules, signal), 'after a boot')
  it.kernel = made
  t.ok(await it.redirect.verify(rules, signal))
  await writeFile(join(it.base, 'capture.json'), '{"apply":')
  t.notOk(await it.redirect.verify(rules, signal))
})

t.test('what is half done is taken back, also without the program that did it', async (t) => {
  const it = world(t)
  it.kernel = made
  await it.redirect.undo('/gone', signal)
  t.ok(
    it.calls.some(
      ({ line, options }) =>
        line === 'iptables-nft-restore --noflush' && options.input?.includes('-X ISTIO_INBOUND'),
    ),
  )
  t.equal(await it.appliedFile.read(), undefined)
})

t.test('rules that come back are said, and the record stays', async (t) => {
  const it = world(t)
  await it.redirect.apply('/p', rules, signal)
  it.stubborn = true
  await t.rejects(it.redirect.undo('/p', signal), { code: 'CAPTURE_FAILED' })
  t.ok(await it.appliedFile.read())
  t.ok(it.calls.some(({ line }) => line === '/p istio-iptables --cleanup-only'))
})

t.test('a failure says what the program said; no rule is a failure too', async (t) => {
  const failing = world(t, {
    code: 1,
    stdout: 'info lots of talk\nerror Command error: no chain by that name\n*nat\n',
  })
  await t.rejects(failing.redirect.apply('/p', rules, signal), {
    code: 'CAPTURE_FAILED',
    detail: /no chain by that name/,
  })
  t.notOk(await failing.redirect.verify(rules, signal))
  await t.rejects(world(t, { code: 0, makes: '*nat\nCOMMIT\n' }).redirect.apply('/p', rules, signal), {
    code: 'CAPTURE_FAILED',
    detail: /no rule/,
  })
})

t.test('calls wait for each other', async (t) => {
  const it = world(t)
  await mkdir(join(it.base, 'x'))
  await Promise.all([
    it.redirect.apply('/p', rules, signal),
    it.redirect.undo('/p', signal),
    it.redirect.apply('/p', rules, signal),
  ])
  t.ok(await it.redirect.verify(rules, signal))
})

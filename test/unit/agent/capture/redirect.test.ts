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

t.test('what was prepared is not looked for again, once', async (t) => {
  const it = world(t)
  await it.redirect.prepare(rules, signal)
  t.match(await it.appliedFile.read(), { digest: '', variant: 'nft' }, 'the intention is written')
  t.notOk(await it.redirect.verify(rules, signal), 'and is no deed')
  const looks = () => it.calls.filter(({ line }) => line === 'iptables-legacy-save').length
  t.equal(looks(), 1)
  t.notOk(
    it.calls.some(({ line }) => line.includes('restore') || line.includes('pilot')),
    'nothing is changed',
  )
  await it.redirect.apply('/p', rules, signal)
  t.equal(looks(), 1)
  t.ok(await it.redirect.verify(rules, signal))
  await it.redirect.apply('/p', rules, signal)
  t.equal(looks(), 2, 'the next time it looks by itself')
})

t.test('rules in force are not touched by preparing, and others are undone in their time', async (t) => {
  const it = world(t)
  await it.redirect.apply('/p', rules, signal)
  await it.redirect.prepare(rules, signal)
  t.ok(await it.redirect.verify(rules, signal))
  const other = { ...rules, basis: 'other' }
  await it.redirect.prepare(other, signal)
  t.ok(await it.redirect.verify(rules, signal))
  await it.redirect.apply('/p', other, signal)
  t.ok(
    it.calls.some(({ line }) => line.endsWith('--cleanup-only')),
    'by what made them',
  )
  t.ok(await it.redirect.verify(other, signal))
  it.kernel = ''
  await it.redirect.prepare(other, signal)
  t.match(await it.appliedFile.read(), { digest: '', basis: 'other' }, 'after a boot they are prepared again')
  await it.redirect.prepare(other, signal)
  await it.redirect.undo('/p', signal)
  const before = it.calls.length
  await it.redirect.apply('/p', other, signal)
  t.match(it.calls[before]?.line, /save/, 'what an undo follows is of no use')
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

import type { Command } from 'commander'
import { InjectionView } from '../../shared/api/injection.ts'
import { createBackoff } from '../../shared/backoff.ts'
import { isErrorCode, MooringError } from '../../shared/errors.ts'
import { action, print } from '../action.ts'
import { closingLines, progressLines } from '../inject/progress.ts'
import { type InjectOptions, readRequest } from '../inject/request.ts'
import type { Session } from '../session.ts'

/** `mooring inject HOST…`: machines without an agent, made VMs by SSH; the controller does it. */
export function addInjectCommand(program: Command, session: Session): void {
  const inject = program
    .command('inject')
    .description('make machines VMs of a pool by SSH: install the agent, and have it join')
    .argument('<host...>', 'host, host:port or [address]:port')
    .requiredOption('--pool <name>', 'the pool that they are to belong to')
    .requiredOption(
      '--credential <name>',
      "an account of the controller's configuration, `injection.credentials`",
    )
    .option('--remove', 'undo it: drain, leave, and take the agent away')
    .option('--known-hosts <file>', "vouches for the machines' keys, as OpenSSH's known_hosts")
    .option('--console-log <file>', 'what one machine wrote at its first boot, with its keys')
    .option('--jump <host>', 'reach the machines through this one')
    .option('--jump-credential <name>', 'its account, where it is another')
    .option('--parallel <number>', 'how many are worked on at a time')
  action<InjectOptions>(inject, async (hosts, options) => {
    const body = await readRequest(hosts, options)
    const client = await session.client(options.context)
    let view = await client.call('POST', '/v1/injections', InjectionView, { body })
    let told: InjectionView | undefined
    const tell = () => {
      if (options.json !== true)
        for (const line of progressLines(told, view)) session.terminal.err(`${line}\n`)
      told = view
    }
    const pause = createBackoff({ baseMs: 300, maxMs: 1_000, floorMs: 200, random: session.random })
    while (view.finishedAt === undefined) {
      tell()
      await session.clock.sleep(pause.next(), session.signal)
      view = await client.call('GET', `/v1/injections/${view.id}`, InjectionView)
    }
    tell()
    print(session, options, view, () => [...closingLines(view), summary(view)])
    const failed = view.vms.filter(({ state }) => state === 'failed')
    const [first] = failed
    if (first !== undefined) throw failureOf(first.code, failed.length, view.vms.length)
  })
}

function summary({ vms }: InjectionView): string {
  const done = vms.filter(({ state }) => state === 'done').length
  return `${done} of ${vms.length} done`
}

/** The exit status says that not all went well; with one cause, which. */
function failureOf(code: string | undefined, failed: number, all: number): MooringError {
  const known = code !== undefined && isErrorCode(code) ? code : 'INJECTION_FAILED'
  return new MooringError(known, { detail: `${failed} of ${all} machines` })
}

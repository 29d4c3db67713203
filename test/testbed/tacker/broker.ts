import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createProgram, type Program } from '../kubernetes/program.ts'
import type { Namespace } from '../network/namespace.ts'
import { erlangFolder, type TackerParts } from '../parts/tacker.ts'

export interface BrokerDeps {
  readonly host: Namespace
  readonly parts: Pick<TackerParts, 'rabbitmq'>
  /** Gets its data and its logs. */
  readonly dir: string
  /** Its clients' port; the next ones are those of Erlang's distribution and of its port mapper. */
  readonly port: number
  readonly signal?: AbortSignal | undefined
}

/** RabbitMQ on loopback of the host, with a port mapper of its own: by itself Erlang would leave one behind. */
export async function createBroker(deps: BrokerDeps): Promise<readonly Program[]> {
  const { host, parts, dir, port, signal } = deps
  const erlang = erlangFolder(parts)
  const runtime = (await readdir(erlang)).find((name) => name.startsWith('erts-')) ?? 'erts'
  const programs = join(erlang, runtime, 'bin')
  const own = join(dir, 'bin')
  await mkdir(own, { recursive: true })
  const start = [
    '#!/bin/sh',
    `export ROOTDIR='${erlang}' BINDIR='${programs}' EMU=beam PROGNAME=erl`,
    'exec "$BINDIR/erlexec" "$@"',
  ]
  await writeFile(join(own, 'erl'), `${start.join('\n')}\n`, { mode: 0o755 })
  const mapperPort = String(port + 2)
  const mapper = createProgram({
    name: 'epmd',
    namespace: host,
    command: join(programs, 'epmd'),
    args: ['-address', '127.0.0.1', '-port', mapperPort],
    logFile: join(dir, 'epmd.log'),
    isReady: async () =>
      (await host.exec(join(programs, 'epmd'), ['-port', mapperPort, '-names'])).code === 0,
    signal,
  })
  const logFile = join(dir, 'rabbitmq.log')
  const place = (name: string) => join(dir, 'rabbitmq', name)
  const broker = createProgram({
    name: 'rabbitmq',
    namespace: host,
    command: join(parts.rabbitmq, 'usr/lib/rabbitmq/bin/rabbitmq-server'),
    args: [],
    env: {
      ...{ PATH: `${own}:/usr/sbin:/usr/bin:/sbin:/bin`, HOME: dir, LANG: 'C.UTF-8' },
      ...{ RABBITMQ_NODENAME: 'testbed@localhost', RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1' },
      ...{ RABBITMQ_NODE_PORT: String(port), RABBITMQ_DIST_PORT: String(port + 1) },
      ...{ RABBITMQ_MNESIA_BASE: place('data'), RABBITMQ_LOG_BASE: place('log') },
      ...{ RABBITMQ_CONFIG_FILE: place('none'), RABBITMQ_ADVANCED_CONFIG_FILE: place('none') },
      ...{ RABBITMQ_GENERATED_CONFIG_DIR: place('made'), RABBITMQ_SCHEMA_DIR: place('schema') },
      ...{ RABBITMQ_CONF_ENV_FILE: place('none'), RABBITMQ_ENABLED_PLUGINS_FILE: place('plugins') },
      ...{ RABBITMQ_PID_FILE: place('pid'), ERL_EPMD_PORT: mapperPort, ERL_EPMD_ADDRESS: '127.0.0.1' },
      // One scheduler that does not spin: it has two cores with everything else.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
        '-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none',
    },
    logFile,
    isReady: async () => (await readFile(logFile, 'utf8')).includes('completed with'),
    signal,
  })
  return [mapper, broker]
}

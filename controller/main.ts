#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { availableParallelism, hostname, networkInterfaces } from 'node:os'
import { systemClock } from '../shared/clock.ts'
import { errorText, MooringError } from '../shared/errors.ts'
import { createLog, type Log } from '../shared/log.ts'
import { openapiDocument } from './api/openapi.ts'
import { type Command, exitCodeOf, exitCodes, parseCommand, usage } from './cli.ts'
import { runCommand } from './commands.ts'
import { type Config, loadConfig } from './config.ts'
import { type Controller, createController } from './controller.ts'
import { isEffectName } from './effects.ts'
import type { InCluster } from './kubernetes/cluster-access.ts'
import { createLineOutput } from './line-output.ts'
import { createStandaloneMesh } from './mesh/standalone/standalone.ts'

async function main(argv: readonly string[]): Promise<number> {
  const command = parseCommand(argv)
  switch (command.name) {
    case 'help':
      process.stdout.write(usage)
      return exitCodes.ok
    case 'version':
      process.stdout.write(`${version()}\n`)
      return exitCodes.ok
    case 'openapi':
      process.stdout.write(await openapiDocument())
      return exitCodes.ok
    case 'enrol':
    case 'pin':
    case 'rotate-ca':
    case 'rotate-root':
    case 'backup':
    case 'restore':
      await runCommand(command, {
        config: await configOf(command),
        inCluster: accountOfPod(),
        clock: systemClock,
        random: Math.random,
        version: version(),
        input: process.stdin,
        output: process.stdout,
      })
      return exitCodes.ok
    case 'run':
      return run(command, await configOf(command))
  }
}

function configOf(command: Extract<Command, { config: unknown }>): Promise<Config> {
  const { config: file = process.env.MOORING_CONFIG } = command
  return loadConfig({ ...(file !== undefined && { file }), environment: process.env })
}

/** Serves until a signal, or until something fails for good. */
async function run(command: { readonly json: boolean }, config: Config): Promise<number> {
  const log = createLog({ level: config.log.level, fields: { program: 'mooring-controller' } })
  let end: (code: number) => void = () => {}
  const ended = new Promise<number>((resolve) => {
    end = resolve
  })
  const stop = new AbortController()
  catchSignals(log, (code) => {
    end(code)
    stop.abort(new MooringError('UNAVAILABLE', { detail: 'the controller stops' }))
  })
  const inCluster = accountOfPod()
  let controller: Controller | undefined
  try {
    controller = await createController({
      config,
      createMesh: createStandaloneMesh,
      ...(inCluster && { inCluster }),
      signal: stop.signal,
      hostname: hostname(),
      addresses: Object.values(networkInterfaces())
        .flat()
        .flatMap((card) => (card === undefined ? [] : [card.address])),
      cores: availableParallelism(),
      proc: '/proc',
      environment: process.env,
      clock: systemClock,
      log,
      random: Math.random,
      auditLine: createLineOutput(process.stdout),
      afterEffect: killPoint(process.env.MOORING_TEST_KILL_AFTER),
      onFatal: (error) => end(exitCodeOf(error)),
    })
    const { url, pin, ca, caFile, enrolment } = await controller.start()
    if (command.json) process.stdout.write(`${JSON.stringify({ url, pin, ca, caFile, enrolment })}\n`)
    else {
      process.stdout.write(`url ${url}\npin ${pin}\nca ${caFile}\n`)
      if (enrolment !== undefined) process.stdout.write(`enrolment ${enrolment}\n`)
    }
    return await ended
  } catch (error) {
    // Told to stop while it started: that what it waited for did not come is no failure.
    if (stop.signal.aborted) return await ended
    throw error
  } finally {
    await controller?.close()
    log.info('controller stopped')
  }
}

/** Where a pod finds its API server and its account (Kubernetes, "Accessing the API from a Pod"). */
function accountOfPod(): InCluster | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
  if (!host || !port) return undefined
  return { host, port, folder: '/var/run/secrets/kubernetes.io/serviceaccount' }
}

function catchSignals(log: Log, end: (code: number) => void): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info('controller stops', { signal })
      end(exitCodes.ok)
    })
  }
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      // State is in the store, and its next start makes up for what was under way.
      log.error('unexpected failure', { event, error: errorText(error), stack: (error as Error)?.stack })
      process.exit(exitCodes.failed)
    })
  }
}

/** Kills this process right after the named effect, as a power cut would; for tests alone. */
function killPoint(name: string | undefined): (effect: string) => void {
  if (name === undefined) return () => {}
  if (!isEffectName(name)) throw new MooringError('CONFIG_INVALID', { detail: `no effect ${name}` })
  return (effect) => {
    if (effect === name) process.kill(process.pid, 'SIGKILL')
  }
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const fix = error instanceof MooringError ? `\n${error.fix}` : ''
  process.stderr.write(`mooring-controller: ${errorText(error)}${fix}\n`)
  // Not by `exitCode`: what a start that failed half-way left running would keep the process.
  process.exit(exitCodeOf(error))
}

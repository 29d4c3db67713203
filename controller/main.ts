#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { join, resolve } from 'node:path'
import { systemClock } from '../shared/clock.ts'
import { errorText, MooringError } from '../shared/errors.ts'
import { createLog, type Log, silentLog } from '../shared/log.ts'
import { openapiDocument } from './api/openapi.ts'
import { createOperators } from './auth/operators.ts'
import { backUp, restore } from './backup.ts'
import { type Command, exitCodeOf, exitCodes, parseCommand, usage } from './cli.ts'
import { type Config, loadConfig } from './config.ts'
import { type Controller, createController } from './controller.ts'
import { isEffectName } from './effects.ts'
import type { InCluster } from './kubernetes/cluster-access.ts'
import { openClusterStore } from './kubernetes-mode.ts'
import { createStandaloneMesh } from './mesh/standalone/standalone.ts'
import { createAuthority } from './pki/authority.ts'
import { finishRootRotation, rotateRoot } from './pki/root-rotation.ts'
import { finishRotation, rotateAuthority } from './pki/rotation.ts'
import { openDatabase } from './store/database.ts'
import type { ResourceStore } from './store/resource-store.ts'
import { createSqliteStore } from './store/sqlite.ts'

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
      return enrol(command, await configOf(command))
    case 'pin':
      return pin(command, await configOf(command))
    case 'rotate-ca':
      return rotateCa(command, await configOf(command))
    case 'rotate-root':
      return rotateMeshRoot(command, await configOf(command))
    case 'backup': {
      const { dataDir } = await configOf(command)
      await backUp(resolve(command.out), { dataDir, clock: systemClock, version: version() })
      process.stdout.write(`${command.out}: it holds keys; keep it as you keep them\n`)
      return exitCodes.ok
    }
    case 'restore': {
      const { dataDir } = await configOf(command)
      const { setAside } = await restore(command.file, { dataDir, force: command.force })
      process.stdout.write(`restored into ${dataDir}\n`)
      if (setAside !== undefined) process.stdout.write(`what was there is in ${setAside}\n`)
      return exitCodes.ok
    }
    case 'run':
      return run(command, await configOf(command))
  }
}

function configOf(command: Extract<Command, { config: unknown }>): Promise<Config> {
  const { config: file } = command
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
      proc: '/proc',
      clock: systemClock,
      log,
      random: Math.random,
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

/** For the commands beside `run`. */
async function storeOf(config: Config): Promise<ResourceStore> {
  if (config.mesh.mode === 'standalone') {
    const database = openDatabase({ file: join(config.dataDir, 'controller.sqlite') })
    return createSqliteStore({ database, log: silentLog })
  }
  const deps = { config, inCluster: accountOfPod(), clock: systemClock, log: silentLog, random: Math.random }
  const within = AbortSignal.timeout(storeWithinMs)
  return openClusterStore(deps, within).catch((error: unknown) => {
    const isLate = within.aborted && !(error instanceof MooringError)
    throw isLate ? new MooringError('STORE_UNAVAILABLE', { detail: 'the API server', cause: error }) : error
  })
}

const storeWithinMs = 30_000

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

async function enrol(command: { readonly json: boolean }, config: Config): Promise<number> {
  const store = await storeOf(config)
  try {
    const { code, expiresAt } = await createOperators({ store, clock: systemClock }).newEnrolment()
    const until = new Date(expiresAt).toISOString()
    process.stdout.write(
      command.json
        ? `${JSON.stringify({ enrolment: code, expiresAt })}\n`
        : `enrolment ${code}\nuntil ${until}\n`,
    )
    return exitCodes.ok
  } finally {
    await store.close()
  }
}

async function pin(command: { readonly json: boolean }, config: Config): Promise<number> {
  const { pin, pinBefore, file } = await createAuthority({
    folder: join(config.dataDir, 'pki'),
    clock: systemClock,
  })
  say(command, { pin, ...(pinBefore && { pinBefore }), caFile: file })
  return exitCodes.ok
}

async function rotateCa(
  command: { readonly json: boolean; readonly finish: boolean },
  config: Config,
): Promise<number> {
  const deps = { folder: join(config.dataDir, 'pki'), clock: systemClock }
  if (!command.finish) {
    say(command, { ...(await rotateAuthority(deps)) })
    return exitCodes.ok
  }
  const store = await storeOf(config)
  try {
    const vms = (await store.list('vm')).map(({ value }) => value)
    say(command, { ...(await finishRotation(deps, vms)) })
    return exitCodes.ok
  } finally {
    await store.close()
  }
}

async function rotateMeshRoot(
  command: { readonly json: boolean; readonly finish: boolean },
  config: Config,
): Promise<number> {
  if (config.mesh.mode === 'kubernetes') {
    throw new MooringError('CONFIG_INVALID', { detail: "the mesh's root is the cluster's own" })
  }
  const deps = {
    folder: join(config.dataDir, 'mesh', 'ca'),
    trustDomain: config.mesh.trustDomain,
    certificateTtlSeconds: config.certificates.workloadTtlSeconds,
    clock: systemClock,
  }
  if (command.finish) {
    say(command, { ...(await finishRootRotation(deps)) })
    return exitCodes.ok
  }
  const store = await storeOf(config)
  try {
    const vms = (await store.list('vm')).map(({ value }) => value)
    say(command, { ...(await rotateRoot(deps, vms)) })
    return exitCodes.ok
  } finally {
    await store.close()
  }
}

/** Names and values, a line each, or as JSON. */
function say(command: { readonly json: boolean }, facts: Readonly<Record<string, string>>): void {
  const words: Readonly<Record<string, string>> = { caFile: 'ca', pinBefore: 'pin-before' }
  const lines = Object.entries(facts).map(([name, value]) => `${words[name] ?? name} ${value}\n`)
  process.stdout.write(command.json ? `${JSON.stringify(facts)}\n` : lines.join(''))
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
  process.exitCode = exitCodeOf(error)
}

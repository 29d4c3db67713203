#!/usr/bin/env node
import { homedir } from 'node:os'
import packageJson from '../package.json' with { type: 'json' }
import { systemClock } from '../shared/clock.ts'
import { runCli } from './program.ts'
import { createTerminal } from './terminal.ts'

const { env, stdin, stdout, stderr } = process
const interrupt = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // A second one ends the program the hard way.
  process.once(name, () => interrupt.abort(new Error(name)))
}
// A reader that has seen enough (`| head`) is no failure.
stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

process.exitCode = await runCli(process.argv.slice(2), {
  terminal: createTerminal({ stdin, stdout, stderr, env }),
  env,
  home: homedir(),
  clock: systemClock,
  random: Math.random,
  version: packageJson.version,
  signal: interrupt.signal,
})

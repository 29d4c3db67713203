/**
 * The program that outlives its owner by a moment: run detached with an instance as its argument, it waits for the end
 * of its input, which the kernel closes however the owner ends, and then takes the instance away.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Instance } from './instance.ts'
import { removeInstance } from './removal.ts'

// An owner that was killed may have left an `ip` command at work, which could still add something.
const settleMs = 300

const instance = JSON.parse(process.argv[2] ?? '') as Instance
// The owner's terminal and whoever stops its group may signal this process too; it ends by itself.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

let closedInOrder = false
process.stdin.on('data', () => {
  closedInOrder = true
})
process.stdin.once('close', async () => {
  if (closedInOrder) return
  await sleep(settleMs)
  await removeInstance(instance, 0)
})
process.stdin.resume()
process.stdout.write('ready\n')

import t from 'tap'
import { createObstacles } from '../../../agent/obstacles.ts'
import { createBackoff } from '../../../shared/backoff.ts'
import { MooringError } from '../../../shared/errors.ts'
import { createLog } from '../../../shared/log.ts'

function scene() {
  const lines: string[] = []
  const told: string[] = []
  const pauses: number[] = []
  const over = new AbortController()
  const obstacles = createObstacles({
    clock: {
      now: () => 0,
      async sleep(ms, signal) {
        signal?.throwIfAborted()
        pauses.push(ms)
      },
    },
    log: createLog({ level: 'info', write: (line) => lines.push(line) }),
    backoff: createBackoff({ baseMs: 1_000, maxMs: 10_000, floorMs: 500, random: () => 1 }),
    tell: (status) => told.push(status),
    signal: over.signal,
  })
  const failing = (...errors: unknown[]) => {
    return async () => {
      const error = errors.shift()
      if (error !== undefined) throw error
      return 'through'
    }
  }
  return { obstacles, failing, lines, told, pauses, over }
}

const missing = () => new MooringError('NOT_CONFIGURED', { detail: 'there is no configuration file' })
const invalid = () => new MooringError('CONFIG_INVALID', { detail: 'half of it' })

t.test('an obstacle is said once, and waited for with growing pauses', async (t) => {
  const { obstacles, failing, lines, told, pauses } = scene()
  t.equal(await obstacles.pass(failing(missing(), missing(), missing())), 'through')
  t.equal(lines.length, 1)
  t.match(lines[0], 'NOT_CONFIGURED')
  t.same(told, ['waiting: No controller is configured (NOT_CONFIGURED)'])
  t.same(pauses, [1_000, 2_000, 4_000])
})

t.test('another obstacle is said again', async (t) => {
  const { obstacles, failing, lines } = scene()
  const full = new MooringError('DISK_FULL', { detail: '/var' })
  const readOnly = new MooringError('STATE_UNWRITABLE', { detail: '/var' })
  await obstacles.pass(failing(full, full, readOnly))
  t.equal(lines.length, 2)
})

t.test('what does not pass by itself ends the start', async (t) => {
  const { obstacles, failing, pauses } = scene()
  await t.rejects(obstacles.pass(failing(invalid())), { code: 'CONFIG_INVALID' })
  await t.rejects(obstacles.pass(failing(new Error('unknown'))), { message: 'unknown' })
  t.same(pauses, [])
})

t.test('a configuration that is being written is no fault', async (t) => {
  const { obstacles, failing } = scene()
  t.equal(await obstacles.pass(failing(missing(), invalid())), 'through')
})

t.test('it ends when it is asked to', async (t) => {
  const { obstacles, failing, over } = scene()
  over.abort('asked')
  await t.rejects(obstacles.pass(failing(missing())), 'asked')
})

import { run } from '../../e2e/boot/agent-image.ts'
import type { Container } from '../../testbed/machines/machine.ts'

/** A time that systemd notes of itself or of a unit, in milliseconds of the kernel's monotonic clock. */
export async function unitTime(
  box: Container,
  property: `${string}TimestampMonotonic`,
  ...unit: readonly string[]
): Promise<number> {
  return Number(await run(box, 'systemctl', 'show', '--value', `--property=${property}`, ...unit)) / 1000
}

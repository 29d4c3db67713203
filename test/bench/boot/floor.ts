import { run } from '../../e2e/boot/agent-image.ts'
import type { Container } from '../../testbed/machines/machine.ts'
import { unitTime } from './unit-time.ts'

const starts = 5

const nothing = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
`

/** The floor under every unit: what systemd itself takes for one that runs `true`, in milliseconds. */
export async function measureFloor(box: Container): Promise<number[]> {
  const unit = 'nothing.service'
  await box.exec('tee', [`/run/systemd/system/${unit}`], { input: nothing })
  await run(box, 'systemctl', 'daemon-reload')
  const samples: number[] = []
  for (let i = 0; i < starts; i++) {
    await run(box, 'systemctl', 'start', unit)
    const [begun, done] = await Promise.all([
      unitTime(box, 'InactiveExitTimestampMonotonic', unit),
      unitTime(box, 'ActiveEnterTimestampMonotonic', unit),
    ])
    samples.push(done - begun)
    await run(box, 'systemctl', 'stop', unit)
  }
  return samples
}

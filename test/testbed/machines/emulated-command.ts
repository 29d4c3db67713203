import type { Card } from './seed.ts'

export interface EmulatedCommandRequest {
  readonly arch: 'x64' | 'arm64'
  readonly name: string
  readonly kernel: string
  readonly initrd: string
  /** The machine's own disk, a qcow2 file. */
  readonly disk: string
  readonly seed: string
  readonly memoryMb: number
  readonly processors: number
  readonly cards: readonly { readonly card: Card; readonly tap: string }[]
  /** Unix sockets: the emulator's own control, and the shell inside. */
  readonly control: string
  readonly shell: string
}

/** The name of the port that the shell inside is behind. */
export const shellPort = 'testbed.shell'

const emulators = { x64: 'qemu-system-x86_64', arm64: 'qemu-system-aarch64' } as const
const boards = { x64: 'q35', arm64: 'virt' } as const
const consoles = { x64: 'ttyS0', arm64: 'ttyAMA0' } as const

/** The command line of a machine whose processor is emulated; its console is the program's standard output. */
export function emulatedCommand(request: EmulatedCommandRequest): readonly [string, readonly string[]] {
  const { arch, cards } = request
  const args = [
    ...['-name', request.name, '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-machine', `${boards[arch]}`, '-accel', 'tcg,thread=multi', '-cpu', 'max'],
    ...['-smp', String(request.processors), '-m', String(request.memoryMb)],
    ...['-kernel', request.kernel, '-initrd', request.initrd, '-append', kernelCommandLine(arch)],
    // What is written is in this machine's memory, which outlives an emulator that is killed.
    ...['-drive', `file=${request.disk},if=virtio,format=qcow2,cache=unsafe,discard=unmap`],
    ...['-drive', `file=${request.seed},if=virtio,format=raw,readonly=on`],
    ...cards.flatMap(({ card, tap }) => [
      ...['-netdev', `tap,id=${card.name},ifname=${tap},script=no,downscript=no`],
      ...['-device', `virtio-net-pci,netdev=${card.name},mac=${card.mac},romfile=`],
    ]),
    ...['-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci'],
    ...['-chardev', `socket,id=shell,path=${request.shell},server=on,wait=off`],
    ...['-device', `virtserialport,chardev=shell,name=${shellPort}`],
    ...['-qmp', `unix:${request.control},server=on,wait=off`, '-serial', 'stdio'],
  ]
  return [emulators[arch], args]
}

function kernelCommandLine(arch: 'x64' | 'arm64'): string {
  return [
    'root=LABEL=mooring-root rw',
    `console=${consoles[arch]}`,
    // Cards are called eth0 and eth1 as in containers, so that one seed fits both.
    'net.ifnames=0 biosdevname=0',
    // The disk was just made, and the emulator's timer is no clock to be measured by.
    'fsck.mode=skip no_timer_check tsc=reliable',
    // The timeline of a boot is read from the console.
    'systemd.show_status=0 systemd.journald.forward_to_console=1 systemd.journald.max_level_console=info',
    // Their own tests at start are most of the work that an emulated processor has with devices.
    'modprobe.blacklist=aesni_intel,ghash_clmulni_intel,sha512_ssse3,crct10dif_pclmul,crc32_pclmul,cryptd',
    'mitigations=off audit=0',
  ].join(' ')
}

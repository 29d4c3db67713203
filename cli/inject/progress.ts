import type { InjectedVm, InjectionView } from '../../shared/api/injection.ts'
import { errorCatalogue } from '../../shared/error-catalogue.ts'
import { isErrorCode } from '../../shared/errors.ts'

/** Lines for what changed between two looks, in the order of the machines. */
export function progressLines(before: InjectionView | undefined, now: InjectionView): readonly string[] {
  return now.vms.flatMap((vm, index) => {
    const text = stateText(vm)
    const earlier = before?.vms[index]
    if (vm.state === 'waiting' || (earlier !== undefined && stateText(earlier) === text)) return []
    return [`${vm.host}  ${text}`]
  })
}

function stateText(vm: InjectedVm): string {
  if (vm.state === 'done') return doneText(vm)
  if (vm.state === 'failed') return `failed: ${vm.code ?? ''}`
  const again = vm.reconnects > 0 ? `, connected ${vm.reconnects + 1} times` : ''
  if (vm.step !== 'uploading' || vm.sent === undefined) return `${vm.step}${again}`
  // In steps of a quarter, so that a file of a pipeline's log stays readable.
  const quarters = Math.floor((4 * vm.sent.bytes) / Math.max(1, vm.sent.of))
  return `uploading ${quarters * 25} %${again}`
}

function doneText({ changed, vm, phase }: InjectedVm): string {
  if (phase === undefined) return changed === false ? 'there was nothing to remove' : 'removed'
  return `${changed === false ? 'unchanged' : 'injected'}: ${vm ?? ''} is ${phase}`
}

/** What is to be said of machines at the end: keys taken at first sight, and failures with their cause and fix. */
export function closingLines(view: InjectionView): readonly string[] {
  return view.vms.flatMap((vm) => {
    const lines: string[] = []
    if (vm.pinned === true) lines.push(`${vm.host}: its key ${vm.hostKey ?? ''} was taken at first sight`)
    const { code = '' } = vm
    if (vm.state !== 'failed' || !isErrorCode(code)) return lines
    const { title, fix } = errorCatalogue[code]
    lines.push(`${vm.host}: ${title} (${code})`)
    if (vm.detail !== undefined) lines.push(`  cause: ${vm.detail}`)
    lines.push(`  fix:   ${fix}`)
    if (vm.undone === false)
      lines.push('  what was begun could not be taken back: run it again, or with --remove')
    return lines
  })
}

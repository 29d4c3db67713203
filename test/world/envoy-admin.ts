import type { Namespace } from '../testbed/network/namespace.ts'

/** GET from the Envoy of a VM. As the sidecar's group, so that it is never captured. */
export async function adminGet(vm: Pick<Namespace, 'exec'>, path: string): Promise<string> {
  const program = `fetch('http://127.0.0.1:15000${path}').then((r) => r.text()).then((text) => process.stdout.write(text))`
  const { stdout, code, stderr } = await vm.exec(process.execPath, ['-e', program], { gid: 1337 })
  if (code !== 0) throw new Error(`Envoy's admin interface does not answer: ${stderr}`)
  return stdout
}

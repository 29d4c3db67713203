import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { provideGo } from './go.ts'
import { type GoModule, goWanted, readGoModule, runGo } from './go-build.ts'
import type { PartCache } from './part-cache.ts'

export const kubernetesVersion = '1.35.4'

const moduleDir = fileURLToPath(new URL('../kubernetes/', import.meta.url))

const about = {
  'kube-apiserver': 'about 4 min on 2 cores',
  kubectl: 'half a minute',
  'kube-controller-manager': 'half a minute',
  'kube-scheduler': 'half a minute',
  kubelet: 'one minute',
} as const

export type KubernetesProgram = keyof typeof about

const [major, minor] = kubernetesVersion.split('.')
const version = 'k8s.io/component-base/version'
const linkerFlags = [
  '-s -w',
  `-X ${version}.gitVersion=v${kubernetesVersion}`,
  `-X ${version}.gitMajor=${major} -X ${version}.gitMinor=${minor}`,
].join(' ')

/** Path of one of Kubernetes' programs, built from its Go module: each by itself, as few need them all. */
export async function provideKubernetes(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
  name: KubernetesProgram,
): Promise<string> {
  const module = await readGoModule(moduleDir)
  const dir = await cache.provide({
    key: kubernetesKey(arch, module, name),
    label: `${name} ${kubernetesVersion} (built from Go modules, ${about[name]})`,
    files: [name],
    executables: [name],
    async make(dir, step) {
      const go = await provideGo(cache, signal, arch, goWanted(module.goMod))
      const source = `k8s.io/kubernetes/cmd/${name}`
      const args = ['build', '-trimpath', '-ldflags', linkerFlags, '-o', join(dir, name), source]
      await runGo({ go, dir: moduleDir, args, signal, onLine: (line) => step.at(line) })
    },
  })
  return join(dir, name)
}

/** Names a build: the version, the machine's kind, and a digest of everything else that decides what comes out. */
export function kubernetesKey(arch: string, module: GoModule, name: KubernetesProgram): string {
  const digest = createHash('sha256')
  for (const input of [module.goMod, module.goSum, linkerFlags]) digest.update(input).update('\0')
  return `${name}-${kubernetesVersion}-${arch}-${digest.digest('hex').slice(0, 8)}`
}

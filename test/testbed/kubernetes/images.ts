/** What the sandbox of each pod is made from. */
export const pauseImage = 'registry.k8s.io/pause:testbed'

/** A shell, wget and a small web server (busybox), and the libraries that Node needs. */
export const appImage = 'docker.io/mooring/app:testbed'

/** Istio's proxy image of that version: pilot-agent, Envoy and iptables. */
export function proxyImage(istioVersion: string): string {
  return `docker.io/istio/proxyv2:${istioVersion}`
}

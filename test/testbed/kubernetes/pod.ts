import { appImage } from './images.ts'

export interface PodRequest {
  readonly name: string
  /** @defaultValue `default` */
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly serviceAccount?: string
  /** @defaultValue the testbed's own, with busybox and what Node needs */
  readonly image?: string
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Names that it knows, as no DNS of the cluster does: istiod's, for a pod with a sidecar. */
  readonly hosts?: readonly { readonly address: string; readonly names: readonly string[] }[]
  /** Folders of this machine that it sees, read-only. */
  readonly shares?: readonly { readonly from: string; readonly at: string }[]
}

/** A pod of the testbed's node: nothing is pulled, and it ends without patience. */
export function podObject(request: PodRequest): object {
  const { name, namespace = 'default', labels = { app: name }, shares = [], hosts = [] } = request
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      terminationGracePeriodSeconds: 1,
      ...(request.serviceAccount === undefined ? {} : { serviceAccountName: request.serviceAccount }),
      hostAliases: hosts.map(({ address, names }) => ({ ip: address, hostnames: names })),
      containers: [
        {
          name: 'app',
          image: request.image ?? appImage,
          imagePullPolicy: 'Never',
          command: request.command,
          env: Object.entries(request.env ?? {}).map(([key, value]) => ({ name: key, value })),
          volumeMounts: shares.map(({ at }, i) => ({ name: `share-${i}`, mountPath: at, readOnly: true })),
        },
      ],
      volumes: shares.map(({ from }, i) => ({ name: `share-${i}`, hostPath: { path: from } })),
    },
  }
}

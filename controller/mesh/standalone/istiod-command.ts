/** Loopback ports of istiod; all of them are its own process's alone. */
export interface IstiodPorts {
  /** Debug interface, plain. */
  readonly http: number
  /** XDS and certificates, TLS: what the gate leads to. */
  readonly secure: number
  readonly monitoring: number
}

export interface IstiodCommandInput {
  readonly meshConfigFile: string
  readonly caFolder: string
  readonly jwtRule: string
  /** The name in istiod's certificate. */
  readonly host: string
  readonly clusterId: string
  readonly domain: string
  readonly rootNamespace: string
  readonly maxCertificateTtlSeconds: number
  /** From the operator; may not touch what is set here. */
  readonly environment: Readonly<Record<string, string>>
}

/**
 * How istiod is started without Kubernetes. Its unauthenticated ports are loopback's or closed: plain gRPC
 * and webhooks off, and ControlZ, which has no switch, on a loopback port of the kernel's choice
 * (istio pilot/cmd/pilot-discovery/app/cmd.go, pkg/ctrlz/options.go).
 */
export function istiodArguments(input: IstiodCommandInput, ports: IstiodPorts): string[] {
  return [
    'discovery',
    ...['--meshConfig', input.meshConfigFile],
    ...['--registries', ''],
    ...['--httpsAddr', ''],
    ...['--grpcAddr', ''],
    ...['--httpAddr', `127.0.0.1:${ports.http}`],
    ...['--secureGRPCAddr', `127.0.0.1:${ports.secure}`],
    ...['--monitoringAddr', `127.0.0.1:${ports.monitoring}`],
    ...['--ctrlz_address', '127.0.0.1'],
    ...['--ctrlz_port', '0'],
    '--profile=false',
    ...['--shutdownDuration', '1s'],
    ...['--domain', input.domain],
    ...['--clusterID', input.clusterId],
  ]
}

/** The whole environment of istiod: nothing of the controller's own reaches it. */
export function istiodEnvironment(input: IstiodCommandInput): Record<string, string> {
  const ttl = `${input.maxCertificateTtlSeconds}s`
  return {
    // Larger batches would keep a drained endpoint open for up to 10 s in a storm of events.
    PILOT_DEBOUNCE_MAX: '1s',
    ...input.environment,
    ROOT_CA_DIR: input.caFolder,
    ENABLE_CA_SERVER: 'true',
    PILOT_CERT_PROVIDER: 'istiod',
    JWT_RULE: input.jwtRule,
    ISTIOD_CUSTOM_HOST: input.host,
    POD_NAME: 'istiod-mooring',
    POD_NAMESPACE: input.rootNamespace,
    CLUSTER_ID: input.clusterId,
    REVISION: 'default',
    // A removed VM is denied until its certificate has ended: nobody gets a longer one by asking.
    DEFAULT_WORKLOAD_CERT_TTL: ttl,
    MAX_WORKLOAD_CERT_TTL: ttl,
  }
}

import t from 'tap'
import {
  type IstiodCommandInput,
  istiodArguments,
  istiodEnvironment,
} from '../../../../../controller/mesh/standalone/istiod-command.ts'

const input: IstiodCommandInput = {
  meshConfigFile: '/d/mesh.yaml',
  caFolder: '/d/ca/istiod',
  jwtRule: '{}',
  host: 'istiod.istio-system.svc',
  clusterId: 'Kubernetes',
  domain: 'cluster.local',
  rootNamespace: 'istio-system',
  maxCertificateTtlSeconds: 3600,
  environment: {},
}

t.test('every address is loopback, or none', async (t) => {
  const args = istiodArguments(input, { http: 1, secure: 2, monitoring: 3 })
  const value = (flag: string) => args[args.indexOf(flag) + 1]
  for (const flag of ['--httpAddr', '--secureGRPCAddr', '--monitoringAddr']) {
    t.match(value(flag), /^127\.0\.0\.1:\d$/, flag)
  }
  for (const flag of ['--grpcAddr', '--httpsAddr', '--registries']) t.equal(value(flag), '', flag)
  t.equal(value('--ctrlz_address'), '127.0.0.1')
})

t.test('the environment is what is said here, and an operator cannot undo it', async (t) => {
  const environment = { MAX_WORKLOAD_CERT_TTL: '8760h', JWT_RULE: 'x', PILOT_TRACE_SAMPLING: '1' }
  const env = istiodEnvironment({ ...input, environment })
  t.equal(env.MAX_WORKLOAD_CERT_TTL, '3600s')
  t.equal(env.JWT_RULE, '{}')
  t.equal(env.PILOT_TRACE_SAMPLING, '1')
  t.equal(env.PILOT_DEBOUNCE_MAX, '1s')
  t.equal('PATH' in env, false)
  t.equal(istiodEnvironment({ ...input, environment: { PILOT_DEBOUNCE_MAX: '2s' } }).PILOT_DEBOUNCE_MAX, '2s')
})

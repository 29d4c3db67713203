/** What a Tacker is told at its start. */
export interface TackerSettings {
  /** Folder of its state. */
  readonly dir: string
  readonly apiPort: number
  readonly brokerPort: number
  /** Of the Identity service, version 3. */
  readonly keystone: string
  readonly user: { readonly name: string; readonly password: string; readonly project: string }
}

/**
 * tacker.conf. Authentication by Keystone, because without it half of Tacker answers 500; SQLite, by which its newer
 * interface works whole (`sqlite` in `schema.py`); callbacks are asked when somebody subscribes, as by default.
 */
export function tackerSettings({ dir, apiPort, brokerPort, keystone, user }: TackerSettings): string {
  const sections: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
    DEFAULT: {
      bind_host: '0.0.0.0',
      bind_port: apiPort,
      api_workers: 1,
      auth_strategy: 'keystone',
      state_path: `${dir}/state`,
      api_paste_config: `${dir}/api-paste.ini`,
      transport_url: `rabbit://guest:guest@127.0.0.1:${brokerPort}/`,
      host: 'testbed',
    },
    database: { connection: `sqlite:///${dir}/tacker.sqlite` },
    oslo_concurrency: { lock_path: `${dir}/state/lock` },
    coordination: { backend_url: `file://${dir}/state/coordination` },
    glance_store: { filesystem_store_datadir: `${dir}/state/csar` },
    vnf_package: { vnf_package_csar_path: `${dir}/state/packages` },
    vim_keys: { openstack: `${dir}/state/keys` },
    keystone_authtoken: {
      ...{ www_authenticate_uri: keystone, auth_url: keystone, auth_type: 'password' },
      ...{ username: user.name, password: user.password, project_name: user.project },
      ...{ user_domain_name: 'Default', project_domain_name: 'Default' },
    },
    v2_vnfm: {
      endpoint: `http://127.0.0.1:${apiPort}`,
      default_graceful_termination_timeout: 1,
    },
    v2_nfvo: { test_callback_uri: 'true' },
    // Its older interface puts addresses together without a slash of its own.
    vnf_lcm: { endpoint_url: `http://127.0.0.1:${apiPort}/`, retry_num: 3, retry_wait: 2, retry_timeout: 5 },
    prometheus_plugin: { auto_scaling: 'true', auto_healing: 'true', timer_interval: 1 },
  }
  return Object.entries(sections)
    .map(([name, values]) =>
      [`[${name}]`, ...Object.entries(values).map(([key, value]) => `${key} = ${value}`), ''].join('\n'),
    )
    .join('\n')
}

/**
 * Makes the tables of Tacker's newest schema. Its migrations alter columns, which SQLite cannot, so the tables are made
 * from its models; run as a script of Python with the path of tacker.conf.
 */
export const schemaScript = `
import sys
import sqlalchemy
from oslo_config import cfg
from tacker.common import config
from tacker.db.migration.models import head

cfg.CONF(["--config-file", sys.argv[1]], project="tacker")
engine = sqlalchemy.create_engine(cfg.CONF.database.connection)
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
head.model_base.BASE.metadata.create_all(engine)
`

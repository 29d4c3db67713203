import { isAbsolute, join } from 'node:path'

/** Where the agent's files lie; every path is below `root`. */
export interface AgentPaths {
  readonly root: string
  readonly config: string
  /** Folder of all that lasts: the agent's state and the sidecar. */
  readonly state: string
  readonly stateFile: string
  readonly lock: string
  /** Socket through which `status`, `drain` and `leave` reach the running agent. */
  readonly socket: string
  /** Folder of the sidecar's log. */
  readonly log: string
}

/** Where the configuration is looked for unless `--config` names another file. */
export const defaultConfigPath = '/etc/mooring/agent.yaml'

/** The file that the command line names, or the usual one. */
export function configPath({
  config,
  root,
}: {
  readonly config: string | undefined
  readonly root: string
}): string {
  return config ?? below(root, defaultConfigPath)
}

/** A path of the machine, as seen from `root`: tests give each VM a root of its own. */
export function below(root: string, path: string): string {
  return isAbsolute(path) && root !== '/' ? join(root, path) : path
}

/** All paths, from the folders that the configuration names. */
export function agentPaths(
  root: string,
  config: string,
  folders: { readonly state: string; readonly run: string },
): AgentPaths {
  const state = below(root, folders.state)
  return {
    root,
    config,
    state,
    stateFile: join(state, 'state.json'),
    lock: join(state, 'agent.lock'),
    socket: join(below(root, folders.run), 'agent.sock'),
    log: below(root, '/var/log/mooring'),
  }
}

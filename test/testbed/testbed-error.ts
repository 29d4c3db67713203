/** What can keep the testbed from working, and how a person mends it. Not part of the product's catalogue. */
const testbedErrors = {
  NEEDS_ROOT: {
    title: 'The testbed needs root',
    fix: 'Run it as root: it makes network namespaces, and the sidecar runs as uid 1337.',
  },
  NEEDS_LINUX: {
    title: 'The testbed needs Linux on amd64 or arm64',
    fix: 'Run it in a Linux machine or VM; network namespaces exist nowhere else.',
  },
  PACKAGE_MISSING: {
    title: 'A program of the operating system is missing',
    fix: 'Install the Debian packages that `detail` names, or their like, then run the same command again.',
  },
  PYTHON_MISSING: {
    title: 'There is no Python 3 with pip to fetch a wheel with',
    fix: 'Install the Debian packages python3 and python3-pip.',
  },
  DOWNLOAD_FAILED: {
    title: 'A package could not be fetched from its registry',
    fix: 'Check that this machine reaches the registry with pip; what it said is in `detail`.',
  },
  BUILD_FAILED: {
    title: 'A Go program could not be built',
    fix: 'What the compiler said is in `detail`; a full disk and an unreachable module proxy are the usual causes.',
  },
  CACHE_UNUSABLE: {
    title: 'The cache folder cannot be used',
    fix: 'Point XDG_CACHE_HOME at a folder that can be written, with 2 GB free.',
  },
  COMMAND_FAILED: {
    title: 'A command failed',
    fix: 'What it said is in `detail`.',
  },
  COMMAND_TIMED_OUT: {
    title: 'A command did not end in time and was ended',
    fix: 'Look at the load of this machine, then run the same command again.',
  },
  NO_FREE_INSTANCE: {
    title: 'All 256 testbed instances are taken',
    fix: 'End some; `npm run testbed -- clean` collects what dead ones left.',
  },
  ADDRESS_IN_USE: {
    title: 'Another VM of this network has that address or name',
    fix: 'Destroy or cut the other VM first, or give another index.',
  },
  NETWORK_CLOSED: {
    title: 'The network or VM is closed already',
    fix: 'Make a new one.',
  },
  MACHINE_OFF: {
    title: 'The machine is off',
    fix: 'Power it on first; when it ended by itself, its console says why.',
  },
  MACHINE_STUCK: {
    title: 'The machine did not get where it should in time',
    fix: 'The end of its console is in `detail`; look at the load of this machine too.',
  },
  PROGRAM_FAILED: {
    title: 'A server of the testbed did not start, or ended by itself',
    fix: 'The end of its log is in `detail`; look at the load of this machine too.',
  },
  PROCESSES_REMAIN: {
    title: 'Processes in a namespace did not end',
    fix: 'See what `ip netns pids` says for it; a process in uninterruptible sleep cannot be ended.',
  },
} as const

export type TestbedErrorCode = keyof typeof testbedErrors

/** The only error class that the testbed throws on purpose. */
export class TestbedError extends Error {
  readonly code: TestbedErrorCode
  readonly detail: string | undefined

  constructor(code: TestbedErrorCode, detail?: string, cause?: unknown) {
    const { title } = testbedErrors[code]
    super(detail === undefined ? title : `${title}: ${detail}`, { cause })
    this.name = 'TestbedError'
    this.code = code
    this.detail = detail
  }

  get fix(): string {
    return testbedErrors[this.code].fix
  }
}

/**
 * Every error a person or a program can meet, with a stable code, what it means and how to mend it.
 * docs/errors.md lists exactly these; a test compares both ways. Codes are never reused for another meaning.
 */
interface ErrorEntry {
  /** HTTP status when it crosses the wire (RFC 9457 problem+json). */
  readonly status: number
  /** Whether the same request may succeed later without anybody changing anything. */
  readonly retryable: boolean
  readonly title: string
  /** What the reader can do about it. */
  readonly fix: string
}

export const errorCatalogue = {
  // --- requests in general
  REQUEST_INVALID: entry(
    400,
    false,
    'The request does not fit its schema',
    'Correct the field that `detail` names; `/openapi.json` has the schema.',
  ),
  REQUEST_TOO_LARGE: entry(
    413,
    false,
    'The request is larger than this route accepts',
    'Send less; no legitimate request is this large.',
  ),
  MEDIA_TYPE_UNSUPPORTED: entry(
    415,
    false,
    'The request has a body of a kind that is not read here',
    'Send JSON, with `Content-Type: application/json`.',
  ),
  RATE_LIMITED: entry(429, true, 'Too many requests from this source', 'Wait as long as `Retry-After` says.'),
  NOT_FOUND: entry(404, false, 'There is nothing of that name', 'List what exists, and check the spelling.'),
  CONFLICT: entry(
    409,
    true,
    'The resource was changed by somebody else meanwhile',
    'Read it again and repeat the change.',
  ),
  TOO_EARLY: entry(
    409,
    true,
    'What has to come first is not done yet',
    'Wait for what the detail names, and repeat it; nothing was changed.',
  ),
  UNAVAILABLE: entry(
    503,
    true,
    'The controller cannot do this right now',
    'Wait as long as `Retry-After` says; `/readyz` tells which part is missing.',
  ),
  INTERNAL: entry(
    500,
    true,
    'Something failed in a way that was not expected',
    "Look into the log of whoever says it, in the controller's for the request's id, and report it.",
  ),
  WIRE_VERSION_UNSUPPORTED: entry(
    426,
    false,
    'Agent and controller are more than one release apart',
    'Upgrade the older of the two; one release of difference works.',
  ),

  // --- operators
  UNAUTHENTICATED: entry(
    401,
    false,
    'No valid credential came with the request',
    'Log in: `mooring login --help`; an operator token expires.',
  ),
  FORBIDDEN: entry(
    403,
    false,
    'This operator may not do this',
    'Ask an administrator for what `detail` names: a role, or in a cluster a permission.',
  ),
  ENROLMENT_INVALID: entry(
    401,
    false,
    'The enrolment code is wrong, used or expired',
    'Run `mooring-controller enrol` on the controller for a new one.',
  ),

  POOL_HAS_VMS: entry(
    409,
    false,
    'The pool still has VMs',
    'Remove them first: `mooring vm list --pool POOL`, `mooring vm remove VM`.',
  ),

  // --- joining
  POOL_UNKNOWN: entry(
    403,
    false,
    'No pool of that name accepts joins',
    'Apply the pool first: `mooring pool apply -f FILE`.',
  ),
  METHOD_NOT_ALLOWED_BY_POOL: entry(
    403,
    false,
    'The pool does not accept this join method',
    "Add the method to the pool's `join.methods`, or use another.",
  ),
  TOKEN_INVALID: entry(403, false, 'No such join token', 'Create one: `mooring token create --pool POOL`.'),
  TOKEN_EXPIRED: entry(
    403,
    false,
    'The join token has expired',
    'Create one: `mooring token create --pool POOL`.',
  ),
  TOKEN_USED_UP: entry(
    403,
    false,
    'The join token was used as often as it may be',
    'Create one with more uses: `mooring token create --pool POOL --uses N`.',
  ),
  TOKEN_FOR_OTHER_POOL: entry(
    403,
    false,
    'The join token belongs to another pool',
    "Give the agent the token of its own pool, or correct the agent's `pool`.",
  ),
  PROOF_INVALID: entry(
    403,
    false,
    'The proof that the joiner holds its key is wrong',
    'Let the agent try again; if it stays, the request is altered on its way.',
  ),
  CHALLENGE_EXPIRED: entry(403, true, 'The challenge is too old', 'The agent asks for a new one by itself.'),
  CSR_INVALID: entry(
    400,
    false,
    'The certificate request is not one the controller signs',
    'It must be PKCS#10 with a P-256 key and a valid signature.',
  ),
  ADDRESS_NOT_ALLOWED: entry(
    403,
    false,
    "The joiner's address is not one the pool accepts",
    "Add its network to the pool's `join.cidrs`, or let the VM connect from an address inside them.",
  ),
  ADDRESS_NOT_CHOSEN: entry(
    403,
    false,
    "None of the VM's addresses is the one the pool describes",
    "Compare the pool's `address` rule with the addresses that `detail` lists.",
  ),
  ADDRESS_TAKEN: entry(
    409,
    true,
    'A live VM already has this address',
    'Two machines with one address cannot both be in the mesh: find the other with `mooring vm list`.',
  ),
  KEY_UNKNOWN: entry(
    403,
    false,
    'The controller knows no VM with this key',
    'Join with fresh evidence: a token, or what the pool accepts.',
  ),
  KEY_REVOKED: entry(
    403,
    false,
    'This VM was removed and its key is revoked',
    'Delete the state folder of the agent and join with fresh evidence.',
  ),
  RENEW_TOO_LATE: entry(
    403,
    false,
    "The VM was away for longer than the pool's `renewWithin`",
    'Join with fresh evidence: a token, or what the pool accepts.',
  ),
  CLONE_DETECTED: entry(
    403,
    false,
    'Another machine shows the identity of a joined VM',
    'Seal the image before cloning (no agent state in it), and look at `mooring audit`.',
  ),

  MACHINE_CHANGED: entry(
    0,
    false,
    'The identity on this disk was given to another machine',
    'It was dropped. Give this machine a join token of its own; seal images with `cloud-init clean --machine-id`.',
  ),

  // --- trust in the controller
  CONTROLLER_UNTRUSTED: entry(
    0,
    false,
    'The controller shows a certificate that is not trusted',
    'Nothing was sent. On a VM check `controller.caFile` or `controller.pin`; in the CLI log in again with the CA or pin that `mooring-controller pin` prints.',
  ),
  CONTROLLER_UNREACHABLE: entry(
    0,
    true,
    'The controller cannot be reached',
    'Check the address, routes and firewall, and whether the controller runs. The agent keeps trying by itself; a command has to be repeated.',
  ),

  // --- the VM
  ALREADY_RUNNING: entry(
    0,
    false,
    'Another agent runs on this machine with the same state folder',
    'Use that one: `mooring-agent status`.',
  ),
  NOT_RUNNING: entry(
    0,
    false,
    'No agent runs on this machine',
    'Start it: `systemctl start mooring-agent`, or `mooring-agent run`.',
  ),
  CONFIG_INVALID: entry(
    0,
    false,
    'The configuration cannot be used',
    'Correct the field that `detail` names.',
  ),
  NOT_CONFIGURED: entry(
    0,
    true,
    'No controller is configured',
    'Write `controller` and `pool` into /etc/mooring/agent.yaml, or by cloud-init into /etc/mooring/agent.d/*.yaml; the agent goes on by itself.',
  ),
  STATE_UNWRITABLE: entry(
    0,
    true,
    'The agent may not write its files',
    'Make the folder that `detail` names writable: a read-only file system, its owner, or a security module. The agent goes on by itself.',
  ),
  STATE_UNREADABLE: entry(
    0,
    false,
    'The state file is damaged and its copy too',
    'Delete the state folder; the agent then joins anew with fresh evidence.',
  ),
  STATE_TOO_NEW: entry(
    0,
    false,
    'The state file was written by a newer agent',
    'Install the newer agent again, or delete the state folder.',
  ),
  NOT_ROOT: entry(
    0,
    false,
    'The agent needs root',
    'Run it as root: it starts the sidecar as another user and sets traffic rules.',
  ),
  IPTABLES_MISSING: entry(
    0,
    false,
    'Neither iptables nor nft is installed',
    'Install the package `iptables` or `nftables`.',
  ),
  PLATFORM_UNSUPPORTED: entry(
    0,
    false,
    'There is no sidecar for this platform',
    'Linux on amd64 or arm64 is supported.',
  ),
  CLOCK_WRONG: entry(
    0,
    true,
    'The clock of this VM is far from the controller’s',
    'Start time synchronisation; certificates depend on it.',
  ),
  DISK_FULL: entry(507, true, 'There is no room to write', 'Free space in the folder that `detail` names.'),
  PORT_IN_USE: entry(
    0,
    true,
    'A port that the sidecar needs is taken',
    'Stop the program that `detail` names, or move it to another port.',
  ),
  ARTIFACT_DIGEST_MISMATCH: entry(
    0,
    true,
    'The downloaded sidecar is not the one the controller announced',
    'Nothing of it was run. Check what the controller serves: its digest and file differ, or something alters it on the way.',
  ),
  ARTIFACT_UNAVAILABLE: entry(
    503,
    true,
    'The controller has no sidecar for this platform',
    'Add it to the controller’s `sidecar.artifacts`.',
  ),
  ARTIFACT_INVALID: entry(
    0,
    false,
    'The sidecar archive holds something it may not',
    'Build the archive anew; it may hold only plain files below its own folder.',
  ),
  ARTIFACT_REFUSED: entry(
    422,
    false,
    'The controller does not take this sidecar archive',
    'Correct what `detail` names; `mooring artifact verify` looks at an archive before it is sent.',
  ),
  ARTIFACT_IN_USE: entry(
    409,
    false,
    'VMs have this sidecar',
    'Add another one, and wait until each pool has gone over to it: `mooring pool show NAME`.',
  ),
  SIDECAR_EXITED: entry(
    0,
    true,
    'The sidecar stopped by itself',
    'Its last lines are in `detail`; the agent starts it again.',
  ),
  SIDECAR_NOT_READY: entry(
    0,
    true,
    'The sidecar does not get ready',
    'Usually it cannot reach istiod: check address and port in `mooring-agent render`.',
  ),
  CAPTURE_FAILED: entry(
    0,
    true,
    'The traffic rules cannot be set',
    'What iptables said is in `detail`; often a missing kernel module.',
  ),
  APPLICATION_UNHEALTHY: entry(
    0,
    true,
    "The application does not pass the pool's probe",
    'What the probe saw is in `detail`.',
  ),
  DRAIN_DEADLINE: entry(
    0,
    false,
    'Requests were still open when the drain deadline came',
    "Raise the pool's `drain.deadlineSeconds`, or find who keeps connections open.",
  ),

  // --- machines that are injected by SSH
  SSH_UNREACHABLE: entry(
    0,
    true,
    'The machine does not answer by SSH',
    'Check its address and port, whether sshd runs, and whether the controller (or the jump host) may connect to it.',
  ),
  SSH_HOST_KEY_UNKNOWN: entry(
    0,
    false,
    "Nobody vouches for the machine's host key",
    "Nothing secret was sent. Compare the fingerprint on the machine's console, and hand the key over: `--known-hosts`, `--console-log`, or the pool's `injection.hostKeys`.",
  ),
  SSH_HOST_KEY_CHANGED: entry(
    0,
    false,
    'The machine shows another host key than the one that is known',
    'Nothing secret was sent. Somebody may be in between; if the machine was made anew, replace its key where it is known.',
  ),
  SSH_LOGIN_REFUSED: entry(
    0,
    false,
    'The machine does not take the credential',
    'Check the user, and that the public key is in its `authorized_keys`; sshd on the machine says why it refused.',
  ),
  SSH_CUT: entry(
    0,
    true,
    'The connection to the machine was cut again and again',
    'Run the same command again: it goes on where it stopped. With `--remove`, what is there already is taken away.',
  ),
  CREDENTIAL_UNUSABLE: entry(
    0,
    false,
    "The controller's credential for machines cannot be used",
    'Correct the entry of `injection.credentials` that `detail` names, or the file or variable that it refers to.',
  ),
  SUDO_REFUSED: entry(
    0,
    false,
    'The user may not become root on the machine',
    'Let it use sudo, without a password or with the one of the credential; or log in as root.',
  ),
  SYSTEMD_MISSING: entry(
    0,
    false,
    'The machine does not run systemd',
    'The agent is a service of systemd. On other machines run it by hand: see the installer, `--kind bare`.',
  ),
  AGENT_FOREIGN: entry(
    0,
    false,
    'There is an agent on the machine that was not injected for this pool',
    'Nothing was changed. Manage it the way it was installed, or remove it first.',
  ),
  AGENT_MISSING: entry(
    503,
    false,
    'The controller has no agent to install',
    "Put the release's `mooring-agent-linux-…` into the folder that `injection.files` names.",
  ),
  INJECTION_FAILED: entry(
    0,
    true,
    'A step of the installation failed on the machine',
    'What the machine said is in `detail`; it was left as it was before.',
  ),
  INJECTION_NOT_JOINED: entry(
    0,
    true,
    'The agent was installed, and did not join',
    'It was taken away again. Usually it cannot reach the controller, or the pool does not accept its address (`join.cidrs`).',
  ),

  // --- the mesh
  MESH_UNAVAILABLE: entry(
    503,
    true,
    'The mesh cannot be written right now',
    'See `/readyz`: istiod is starting, or its folder cannot be written.',
  ),
  MESH_LAGS: entry(
    503,
    true,
    'istiod has not taken in what was written',
    'One unreadable file in its folder stops every reload; the log names it.',
  ),
  MESH_OBJECT_FOREIGN: entry(
    409,
    false,
    'An object of that name in the cluster is not Mooring’s',
    'It was not touched. Rename or delete the object that `detail` names, or give the pool another name.',
  ),
  MESH_ADDRESS_FOREIGN: entry(
    409,
    true,
    'A WorkloadEntry that is not Mooring’s has the address of the VM',
    'It was not touched. Give the entry that `detail` names the annotation mesh.mooring/adopt with the name of the pool, and the VM takes its place; or delete it.',
  ),
  MESH_NAMESPACE_MISSING: entry(
    503,
    true,
    'The namespace of the pool is not in the cluster',
    'Create the namespace that `detail` names; everything of the pool is then written by itself.',
  ),
  MESH_SIDECAR_CLASH: entry(
    409,
    false,
    'A Sidecar resource of yours selects the same workloads',
    'Istio takes one of the two. Narrow the selector of the Sidecar that `detail` names, or delete it.',
  ),
  MESH_SERVICE_UNFIT: entry(
    409,
    false,
    'The Service that the pool refers to does not lead to its VMs',
    "Create the Service that `detail` names, or make its selector fit the pool's labels.",
  ),
  MESH_GROUP_MISSING: entry(
    409,
    false,
    'The WorkloadGroup that the pool refers to is not in the cluster',
    'Create the WorkloadGroup that `detail` names; until then the pool is in force as it stands alone.',
  ),
  MESH_FACTS_MISSING: entry(
    503,
    true,
    'The cluster does not say what VMs need to know of the mesh',
    'Install Istio, or correct its namespace and revision; `detail` names what was looked for.',
  ),
  IDENTITY_NOT_DECLARED: entry(
    403,
    false,
    'No pool declares this namespace and service account',
    'Tokens are minted only for what a pool declares, and never for istio-system.',
  ),
  ISTIOD_MISSING: entry(
    0,
    false,
    'There is no istiod to start',
    'Set `istiod.binary` to the program, pilot-discovery of Istio 1.27 or newer.',
  ),
  STORE_UNAVAILABLE: entry(
    503,
    true,
    'The resources cannot be read or written right now',
    'The Kubernetes API server does not answer: see `/readyz`. VMs that are in the mesh keep serving meanwhile.',
  ),
  KUBERNETES_FORBIDDEN: entry(
    500,
    false,
    'The controller may not do this in Kubernetes',
    "Give its service account the verb on the resource that `detail` names; the chart's roles hold all of them.",
  ),
  KUBERNETES_UNAUTHENTICATED: entry(
    500,
    false,
    'Kubernetes does not know the controller',
    'Its token or client certificate has expired or was withdrawn: renew the kubeconfig, which is read again by itself.',
  ),
  KUBERNETES_REFUSED: entry(
    400,
    false,
    'Kubernetes refuses the object',
    'Correct the field that `detail` names; if you did not write it, install the definitions (CRDs) of this version.',
  ),
  KUBERNETES_KIND_MISSING: entry(
    500,
    false,
    'Kubernetes does not know this kind of object',
    "Install its definition: Mooring's are in `packaging/helm/crds`, Istio's come with Istio.",
  ),
  STORE_UNREADABLE: entry(
    0,
    false,
    'The database cannot be opened',
    'Restore it from a copy; the log names the file.',
  ),

  // --- lifecycle managers
  LCM_UNREACHABLE: entry(
    0,
    true,
    'A lifecycle manager, or the cloud behind it, does not answer',
    'Look whether it runs at the address that is configured; it is asked again and again.',
  ),
  LCM_REFUSED: entry(
    0,
    true,
    'A lifecycle manager, or the cloud behind it, refuses what it is asked',
    'The detail has its own words; a status of 401 or 403 means its user, project or password.',
  ),
  LCM_ANSWER_INVALID: entry(
    0,
    true,
    'A lifecycle manager answered with something that is none of its documented forms',
    'The log has the field; check that the address is that of its interface, in the version that is configured.',
  ),
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof errorCatalogue

function entry(status: number, retryable: boolean, title: string, fix: string): ErrorEntry {
  return { status, retryable, title, fix }
}

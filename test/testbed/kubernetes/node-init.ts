/**
 * The shell program that is the first process of a node: `$1` is the node's folder, then pairs of a name and a folder
 * that its programs see as `/run/<name>`. It replaces /run and /var by the node's own, and runs containerd and the
 * kubelet, again where they end.
 */
export const firstProcess = `
dir=$1
shift
mount --make-rshared / || exit 125
mount -t tmpfs -o mode=755 tmpfs "$dir/run" || exit 125
mkdir "$dir/run/testbed" && mount --bind "$dir" "$dir/run/testbed" || exit 125
while [ $# -gt 0 ]; do
  mkdir "$dir/run/$1" && mount --bind "$2" "$dir/run/$1" || exit 125
  shift 2
done
mount --rbind "$dir/run" /run || exit 125
mount --rbind /run/testbed/var /var || exit 125
PATH="/run/runtime/usr/bin:/run/runtime/usr/sbin:$PATH"
export PATH
cd /
trap 'exit 0' TERM INT
keep() {
  while :; do
    "$@"
    sleep 1
  done
}
keep containerd --config /run/testbed/containerd.toml >> /run/testbed/containerd.log 2>&1 &
keep /run/kubelet-files/kubelet --config /run/testbed/kubelet.json --kubeconfig /run/testbed/kubelet.kubeconfig \\
  --hostname-override node-1 --node-ip 10.77.0.1 --v 1 >> /run/testbed/kubelet.log 2>&1 &
while :; do wait; done
`

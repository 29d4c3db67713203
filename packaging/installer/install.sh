#!/bin/sh
# Installs mooring-agent, without asking anything:
#
#   curl --proto '=https' -fsSLO https://releases.example.com/mooring/install.sh
#   sh install.sh --base-url https://releases.example.com/mooring --public-key release.pub \
#     --controller https://controller.mesh.internal:8443 --pin sha256:… --pool web --token-file - <token
#
# Nothing that it downloads is run or unpacked before the signature over SHA256SUMS and the checksum of the file are
# right. Run it again to upgrade, or to change the settings; what is as it should be is left alone.
#
# Exit codes: 0 done, 1 the installation failed, 2 wrong usage, 3 this system is not supported, 4 the download failed,
# 5 what was downloaded is not what was released.

usage() {
  cat <<'TEXT'
Usage: install.sh --base-url URL [options]

  --base-url URL      folder of a release: SHA256SUMS, SHA256SUMS.sig and the files they name    MOORING_BASE_URL
  --public-key FILE   key of the release (PEM); one that is built in needs none                  MOORING_PUBLIC_KEY
  --ca-file FILE      authority of the server at the base URL, where the system's do not know it MOORING_BASE_CA_FILE
  --kind KIND         deb, rpm or bare (the executable alone); by default what this system has   MOORING_KIND
  --controller URL    the controller; with it --pin and --pool are needed                        MOORING_CONTROLLER_URL
  --pin PIN           sha256:… of the controller's authority                                     MOORING_CONTROLLER_PIN
  --pool NAME         pool of this VM                                                            MOORING_POOL
  --token-file FILE   holds the join token; - is standard input, where this script does not come MOORING_TOKEN_FILE
                      from; there is no option for the token itself, which all users could see
TEXT
}

# The release puts its key here.
release_key=''

say() { printf 'mooring: %s\n' "$*"; }

fail() {
  code=$1
  shift
  printf 'mooring: %s\n' "$*" >&2
  exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

# Whether a whole text fits: grep alone would be content with one line of it. printf is the shell's own, so that no other
# program has a token among its arguments.
fits() {
  case $1 in
    *'
'*) return 1 ;;
  esac
  printf '%s\n' "$1" | grep -Eq "^($2)\$"
}

fetch() {
  # $1: name below the base URL; $2: where to; $3: most bytes
  url=$base_url/$1
  if has curl; then
    set -- "$url" "$2" "$3" --proto '=https' --proto-redir '=https' --tlsv1.2 --fail --silent --show-error --location
    if [ -n "$ca_file" ]; then set -- "$@" --cacert "$ca_file"; fi
    from=$1 to=$2 most=$3
    shift 3
    curl "$@" --retry 3 --connect-timeout 20 --max-time 900 --max-filesize "$most" --output "$to" "$from" ||
      fail 4 "cannot download $url"
  elif has wget; then
    to=$2
    if [ -n "$ca_file" ]; then set -- --ca-certificate="$ca_file"; else set --; fi
    wget "$@" --https-only --secure-protocol=TLSv1_2 --quiet --tries=3 --timeout=60 --output-document="$to" "$url" ||
      fail 4 "cannot download $url"
  else
    fail 3 'neither curl nor wget is installed'
  fi
}

verify_signature() {
  has openssl || fail 3 'openssl is not installed; without it the signature of the release cannot be verified'
  if ! openssl pkeyutl -verify -pubin -inkey "$work/release.pub" -rawin -in "$work/SHA256SUMS" \
    -sigfile "$work/SHA256SUMS.sig" >"$work/verify.log" 2>&1; then
    if ! openssl pkeyutl -help 2>&1 | grep -q -- -rawin; then
      fail 3 'openssl 3 or newer is needed to verify the signature of the release'
    fi
    fail 5 "SHA256SUMS of $base_url is not signed by this key; nothing was installed"
  fi
}

# The one file of the release for this system; its name is set, and it is in the work folder.
get_file() {
  case $kind in
    deb) pattern="mooring-agent_[0-9A-Za-z.~+-]+_$arch\\.deb" ;;
    rpm) pattern="mooring-agent-[0-9A-Za-z.~+-]+\\.$rpm_arch\\.rpm" ;;
    bare) pattern="mooring-agent-linux-$arch" ;;
  esac
  file=$(sed -n -E "s/^[0-9a-f]{64}  ($pattern)\$/\\1/p" "$work/SHA256SUMS")
  case $file in
    '') fail 3 "the release at $base_url has no $kind for $arch" ;;
    *'
'*) fail 5 "SHA256SUMS names more than one $kind for $arch" ;;
  esac
  fetch "$file" "$work/$file" 268435456
  (cd "$work" && grep -F "  $file" SHA256SUMS | grep -E "^[0-9a-f]{64}  $pattern\$" | sha256sum -c -) \
    >"$work/verify.log" 2>&1 || fail 5 "$file is not what the release says; nothing was installed"
}

# Puts standard input at $1 with mode $2 if it is not there already; tells so by `changed`.
place() {
  new=$(mktemp "$etc/.installer.XXXXXX") || fail 1 "cannot write below $etc"
  cat >"$new"
  chmod "$2" "$new"
  if [ -f "$1" ] && cmp -s "$new" "$1" && [ "$(stat -c %a "$1")" = "$2" ]; then
    rm -f "$new"
  else
    mv -f "$new" "$1" || fail 1 "cannot write $1"
    changed=yes
  fi
}

write_settings() {
  [ -n "$controller" ] || return 0
  mkdir -p "$etc/agent.d" || fail 1 "cannot make $etc/agent.d"
  if [ -n "$token_file" ]; then
    place "$etc/installer.token" 600 <<TOKEN
$token
TOKEN
  fi
  {
    printf '# Written by install.sh; it lies over agent.yaml.\n'
    printf 'controller:\n  url: "%s"\n  pin: "%s"\npool: "%s"\n' "$controller" "$pin" "$pool"
    if [ -f "$etc/installer.token" ]; then printf 'join:\n  tokenFile: "%s/installer.token"\n' "$etc"; fi
  } >"$work/settings.yaml"
  place "$etc/agent.d/60-installer.yaml" 644 <"$work/settings.yaml"
}

install_file() {
  case $kind in
    deb)
      wanted=$(dpkg-deb -f "$work/$file" Version) || fail 5 "$file is no package"
      # shellcheck disable=SC2016 # dpkg-query fills it in
      found=$(dpkg-query -W -f '${Status} ${Version}' mooring-agent 2>/dev/null || :)
      if [ "$found" = "install ok installed $wanted" ]; then return 0; fi
      changed=yes
      if has apt-get; then
        set -- apt-get --yes --quiet --no-install-recommends -o Dpkg::Options::=--force-confold install
      else
        set -- dpkg --force-confold --install
      fi
      DEBIAN_FRONTEND=noninteractive "$@" "$work/$file" </dev/null || fail 1 "$file was not installed"
      ;;
    rpm)
      if rpm --query "$(rpm --query --package "$work/$file")" >/dev/null 2>&1; then return 0; fi
      changed=yes
      if has dnf; then
        set -- dnf --assumeyes --quiet install
      elif has zypper; then
        set -- zypper --non-interactive install --allow-unsigned-rpm
      else
        set -- rpm --upgrade
      fi
      "$@" "$work/$file" </dev/null || fail 1 "$file was not installed"
      ;;
    bare)
      if cmp -s "$work/$file" /usr/local/bin/mooring-agent; then return 0; fi
      changed=yes
      mkdir -p /usr/local/bin
      # Renamed, so that a program that runs keeps its file.
      if ! { cp "$work/$file" /usr/local/bin/.mooring-agent.new && chmod 755 /usr/local/bin/.mooring-agent.new &&
        mv -f /usr/local/bin/.mooring-agent.new /usr/local/bin/mooring-agent; }; then
        fail 1 'cannot write /usr/local/bin'
      fi
      ;;
  esac
}

start() {
  if [ "$kind" = bare ]; then
    say 'start it with: mooring-agent run'
  elif [ -d /run/systemd/system ]; then
    # A restart leaves the VM in the mesh; the sidecar is a unit of its own.
    if [ "$changed" = yes ] && systemctl is-active --quiet mooring-agent.service; then
      systemctl restart mooring-agent.service || fail 1 'mooring-agent does not start: journalctl -u mooring-agent'
    fi
    systemctl start mooring-agent.service mooring-drain.service ||
      fail 1 'mooring-agent does not start: journalctl -u mooring-agent'
  else
    say 'systemd does not run here: the next boot starts the agent'
  fi
}

main() {
  set -u
  umask 022
  base_url=${MOORING_BASE_URL:-} public_key=${MOORING_PUBLIC_KEY:-} ca_file=${MOORING_BASE_CA_FILE:-}
  kind=${MOORING_KIND:-} controller=${MOORING_CONTROLLER_URL:-} pin=${MOORING_CONTROLLER_PIN:-}
  pool=${MOORING_POOL:-} token_file=${MOORING_TOKEN_FILE:-}
  token='' changed=no etc=/etc/mooring
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h)
        usage
        exit 0
        ;;
      --base-url | --public-key | --ca-file | --kind | --controller | --pin | --pool | --token-file)
        if [ $# -lt 2 ]; then fail 2 "$1 needs a value"; fi
        ;;
      *) fail 2 "there is no option $1; see --help" ;;
    esac
    case $1 in
      --base-url) base_url=$2 ;;
      --public-key) public_key=$2 ;;
      --ca-file) ca_file=$2 ;;
      --kind) kind=$2 ;;
      --controller) controller=$2 ;;
      --pin) pin=$2 ;;
      --pool) pool=$2 ;;
      --token-file) token_file=$2 ;;
    esac
    shift 2
  done

  base_url=${base_url%/}
  fits "$base_url" 'https://[^/?#@[:space:]]+(/[^?#[:space:]]*)?' || fail 2 '--base-url is an https address'
  if [ -n "$controller$pin$pool$token_file" ]; then
    fits "$controller" 'https://[][A-Za-z0-9.:_-]+/?' || fail 2 '--controller is an https address'
    fits "$pin" 'sha256:[0-9a-f]{64}' || fail 2 '--pin is sha256: and 64 hexadecimal digits'
    fits "$pool" '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?' || fail 2 '--pool is a name of small letters, digits and -'
  fi
  if [ -n "$public_key" ] && [ ! -r "$public_key" ]; then fail 2 "there is no key $public_key"; fi
  if [ -z "$public_key$release_key" ]; then fail 2 '--public-key is needed: nothing is installed unverified'; fi
  [ "$(id -u)" = 0 ] || fail 2 'this needs root'
  [ "$(uname -s)" = Linux ] || fail 3 "$(uname -s) is not supported: the sidecar is for Linux"
  case $(uname -m) in
    x86_64) arch=amd64 rpm_arch=x86_64 ;;
    aarch64) arch=arm64 rpm_arch=aarch64 ;;
    *) fail 3 "$(uname -m) is not supported: the sidecar is for x86_64 and aarch64" ;;
  esac
  if [ -z "$kind" ]; then
    if has dpkg; then kind=deb; elif has rpm; then kind=rpm; else kind=bare; fi
  fi
  case $kind in
    deb) has dpkg || fail 3 'this system has no dpkg: try --kind bare' ;;
    rpm) has rpm || fail 3 'this system has no rpm: try --kind bare' ;;
    bare) ;;
    *) fail 2 '--kind is deb, rpm or bare' ;;
  esac
  if [ -n "$token_file" ]; then
    # The shell's own redirection: no other process has the token in its arguments or environment.
    if [ "$token_file" = - ]; then
      IFS= read -r token || :
    else
      [ -r "$token_file" ] || fail 2 "there is no file $token_file"
      IFS= read -r token <"$token_file" || :
    fi
    fits "$token" '[A-Za-z0-9_-]{16,256}' || fail 2 "$token_file does not hold a join token"
  fi

  work=$(mktemp -d) || fail 1 'there is no room for a temporary folder'
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  # apt reads the package as another user.
  chmod 755 "$work"
  if [ -n "$public_key" ]; then
    cat "$public_key" >"$work/release.pub"
  else
    printf '%s\n' "$release_key" >"$work/release.pub"
  fi
  fetch SHA256SUMS "$work/SHA256SUMS" 1048576
  fetch SHA256SUMS.sig "$work/SHA256SUMS.sig" 4096
  verify_signature
  get_file
  # Before the package, whose first start finds its settings.
  write_settings
  install_file
  start
  if [ "$changed" = yes ]; then say "$file is installed"; else say "$file is installed already"; fi
}

# A download that was cut ends before this brace, and does nothing.
{
  main "$@"
  exit
}

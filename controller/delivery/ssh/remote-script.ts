import { layout } from './layout.ts'

/** The head of a line that is for the controller; all else that a VM says is for nobody (a greeting, say). */
export const mark = 'mooring:'

/** Run as the user who logged in; changes nothing. */
export const probeScript = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH
say() { printf '\\n${mark} %s\\n' "$*"; }
main() {
  say system "$(uname -s)"
  say machine "$(uname -m)"
  say uid "$(id -u)"
  if [ -d /run/systemd/system ]; then say systemd yes; fi
  for program in iptables nft sudo sha256sum flock tac systemctl useradd; do
    if command -v "$program" >/dev/null 2>&1; then say program "$program"; fi
  done
  if sudo -n true 2>/dev/null; then say sudo free; fi
}
main </dev/null
`

/** Run as root with a verb. Whatever it does may be done again: a connection can be cut at any place. */
export const rootScript = `
set -u
umask 022
LC_ALL=C; export LC_ALL
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
# A connection that is cut must not stop it half way.
trap '' HUP PIPE
stage='${layout.stage}' manifest='${layout.manifest}' agent='${layout.executable}'
units='mooring-agent.service mooring-drain.service mooring-sidecar.service'

say() { printf '\\n${mark} %s\\n' "$*"; }
fail() { printf '%s\\n' "$*" >&2; exit 1; }
digest_of() { sha256sum <"$1" | cut -c1-64; }

owner() {
  if [ -e "$manifest" ]; then echo injected
  elif [ -e "$agent" ] || [ -e /usr/local/bin/mooring-agent ]; then echo foreign
  else echo none
  fi
}

# Arguments: paths whose digests are asked for.
look() {
  say owner "$(owner)"
  if [ -d "$stage/undo" ]; then say unfinished yes; fi
  say free "$(df -Pk "$(if [ -d "$stage" ]; then echo "$stage"; else echo /var/lib; fi)" | awk 'NR == 2 { print $4 }')" "$(df -Pk /usr/bin | awk 'NR == 2 { print $4 }')"
  for path; do
    if [ -f "$path" ]; then say digest "$path" "$(digest_of "$path")"; fi
  done
  if [ -e "$manifest" ]; then
    if systemctl is-active --quiet mooring-agent.service; then say active yes; fi
    say status "$(timeout 10 "$agent" status --json 2>/dev/null | tr -d '\\n')"
  fi
}

# Arguments: digests. How much of each file has arrived.
arrived() {
  mkdir -p "$stage" && chmod 700 "$stage" || exit 1
  for sha; do
    if [ -f "$stage/$sha" ]; then say arrived "$sha" whole
    elif [ -f "$stage/$sha.part" ]; then say arrived "$sha" "$(stat -c %s "$stage/$sha.part")"
    fi
  done
}

note() { printf '%s\\n' "$*" >>"$stage/undo/log"; }
list() { grep -qxF "$*" "$stage/undo/manifest" 2>/dev/null || printf '%s\\n' "$*" >>"$stage/undo/manifest"; }

make_folder() {
  if [ -d "$1" ]; then return 0; fi
  make_folder "$(dirname "$1")"
  note folder "$1"
  list folder "$1"
  mkdir -m 755 "$1" || fail "cannot make $1"
}

# Arguments: mode, path, file.
put() {
  make_folder "$(dirname "$2")"
  # What was kept by a run that was cut is what there was before.
  if grep -qxF -e "made $2" -e "replaced $2" "$stage/undo/log" 2>/dev/null; then :
  elif [ -e "$2" ]; then
    cp -p "$2" "$stage/undo/$(printf '%s' "$2" | tr / _)" || fail "cannot keep $2"
    note replaced "$2"
  else
    note made "$2"
  fi
  list file "$2"
  if ! { cp "$3" "$2.mooring-new" && chmod "$1" "$2.mooring-new" && mv -f "$2.mooring-new" "$2"; }; then
    rm -f "$2.mooring-new"
    fail "cannot write $2"
  fi
}

# Arguments: mode, digest and path of each file, in turn.
place() {
  [ "$(owner)" != foreign ] || fail 'there is another installation of the agent'
  mkdir -p "$stage/undo"
  if [ -e "$manifest" ] && [ ! -e "$stage/undo/manifest" ]; then cp "$manifest" "$stage/undo/manifest"; fi
  if [ ! -e /var/lib/mooring ]; then note state; fi
  while [ $# -ge 3 ]; do
    put "$1" "$3" "$stage/$2"
    shift 3
  done
  if [ -z "$(getent passwd 1337)" ]; then
    note user
    list user
    getent group 1337 >/dev/null || groupadd --system --gid 1337 istio-proxy
    useradd --system --uid 1337 --gid 1337 --no-create-home --home-dir / --shell /usr/sbin/nologin istio-proxy ||
      fail 'cannot make the user 1337'
  fi
  systemd-tmpfiles --create mooring-agent.conf || fail 'cannot make /run/xtables.lock'
  put 644 "$manifest" "$stage/undo/manifest"
  systemctl daemon-reload || fail 'systemd does not read its units'
  note enabled
  systemctl --quiet enable mooring-agent.service mooring-drain.service || fail 'cannot enable the agent'
  systemctl restart mooring-agent.service || fail "the agent does not start: $(journalctl -u mooring-agent -n 3 -o cat)"
  systemctl start mooring-drain.service || fail 'mooring-drain does not start'
}

forget() {
  systemctl stop mooring-agent.service || :
  systemctl stop mooring-drain.service mooring-sidecar.service || :
  systemctl --quiet disable mooring-agent.service mooring-drain.service 2>/dev/null || :
}

forget_user() {
  userdel istio-proxy 2>/dev/null || :
  groupdel istio-proxy 2>/dev/null || :
}

# What was begun and did not come to its end is taken back, the last thing first.
undo() {
  if [ -s "$stage/undo/log" ]; then
    if grep -qx enabled "$stage/undo/log" && ! grep -qxF "replaced $manifest" "$stage/undo/log"; then forget; fi
    tac "$stage/undo/log" | while read -r what path; do
      case $what in
        made) rm -f "$path" ;;
        replaced) cp -p "$stage/undo/$(printf '%s' "$path" | tr / _)" "$path.mooring-new" && mv -f "$path.mooring-new" "$path" ;;
        folder) rmdir "$path" 2>/dev/null || : ;;
        user) forget_user ;;
        state) rm -rf /var/lib/mooring /var/log/mooring /run/mooring ;;
      esac
    done
    systemctl daemon-reload || :
    if [ -e "$manifest" ]; then systemctl try-restart mooring-agent.service || :; fi
  fi
  empty_stage
}

# What is mounted there stays.
empty_stage() { rm -rf "$stage" 2>/dev/null || [ -z "$(ls -A "$stage")" ]; }

finish() { empty_stage && rm -f '${layout.token}'; }

remove() {
  if [ "$(owner)" = foreign ]; then fail 'there is another installation of the agent'; fi
  if [ -e "$manifest" ]; then
    # Rules without a sidecar would cut the machine off: whoever made them is started once more to undo them.
    if [ -e /var/lib/mooring/sidecar/capture.json ] && ! systemctl is-active --quiet mooring-agent.service; then
      systemctl start mooring-agent.service || :
    fi
    # Stopping the agent drains and leaves.
    forget
    cp "$manifest" "/run/mooring-injection.list" || fail 'cannot write /run'
    tac /run/mooring-injection.list | while read -r what path; do
      case $what in
        file) [ "$path" = "$manifest" ] || rm -f "$path" ;;
        user) forget_user ;;
      esac
    done
    rm -rf /var/lib/mooring /var/log/mooring /run/mooring '${layout.token}' "$stage"
    rm -f "$manifest"
    tac /run/mooring-injection.list | while read -r what path; do
      if [ "$what" = folder ]; then rmdir "$path" 2>/dev/null || :; fi
    done
    rm -f /run/mooring-injection.list
    systemctl daemon-reload || :
    systemctl reset-failed $units 2>/dev/null || :
    say removed yes
  fi
  empty_stage
}

main() {
  verb=$1
  shift
  exec 9>/run/mooring-injection.lock
  flock -w 60 9 || fail 'another injection is under way'
  "$verb" "$@"
}
`

/**
 * Appends what it reads to a file on its way and, when that is whole, gives it its name. Arguments: digest, and how much
 * is there already. It is the one command that cannot have its text where its data is.
 */
export const receiveScript = [
  `umask 077; f=${layout.stage}/$1`,
  '[ -f "$f.part" ] || : >"$f.part"',
  '[ "$(stat -c %s "$f.part")" = "$2" ] || exit 66',
  'cat >>"$f.part" || exit 74',
  '[ "$(stat -c %s "$f.part")" = "$3" ] || exit 67',
  '[ "$(sha256sum <"$f.part" | cut -c1-64)" = "$1" ] || { rm -f "$f.part"; exit 65; }',
  'mv -f "$f.part" "$f"',
].join('; ')

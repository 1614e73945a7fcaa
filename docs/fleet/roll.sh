#!/bin/sh
# Changes the hosts of a fleet one by one, and stops at the first that does not come back (docs/FLEET.md).
#
#     roll.sh reload  web1 web2 web3    configuration or certificates are new
#     roll.sh upgrade web1 web2 web3    the program is new; it inherits the sockets
#     roll.sh restart web1 web2 web3    everything is new, the options of the unit as well
#
# New files are on the hosts before. It runs where ssh reaches root (or a user that may run systemctl) without a password, and
# where the status pages can be reached.
# CHECK: the command that checks a configuration before a reload; `true` for none.
# STATUS_PORT: port of the status pages (9100). WELL: checks in a row, a second apart, after which a host is well (3): more than
# the checks of the balancer take. PATIENCE: seconds until a host has to be well (120).
set -eu

port=${STATUS_PORT:-9100} wanted=${WELL:-3} patience=${PATIENCE:-120}

fail() {
    echo "roll.sh: $*" >&2
    exit 1
}

is_well() {
    curl --silent --fail --output /dev/null --max-time 2 "http://$1:$port/healthz"
}

# When the server of a host was started. A reload does not change it.
started() {
    curl --silent --fail --max-time 2 "http://$1:$port/metrics" | sed -n 's/^stheno_start_time_seconds //p'
}

# Waits until a host is well, and another server than the one of the time $2.
await() {
    end=$(($(date +%s) + patience)) count=0
    while [ "$count" -lt "$wanted" ]; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 1
        if is_well "$1" && [ "$(started "$1")" != "$2" ]; then count=$((count + 1)); else count=0; fi
    done
}

change=${1-} before=
[ $# -ge 2 ] || fail "usage: roll.sh reload|upgrade|restart HOST..."
shift
case $change in
    # A reload with a broken file has no effect, and `systemctl reload` may not say so: the file is checked before.
    reload) command="${CHECK:-stheno --check --config /etc/stheno/stheno.toml} && systemctl reload stheno" ;;
    upgrade) command='systemctl kill --kill-whom=main --signal=USR2 stheno' ;;
    restart) command='systemctl restart stheno' ;;
    *) fail "there is no $change: reload, upgrade or restart" ;;
esac

for host in "$@"; do
    # A host that is away already uses up the spare one.
    for other in "$@"; do
        is_well "$other" || fail "$other is not well; $host and those after it were not changed"
    done
    if [ "$change" != reload ]; then
        before=$(started "$host")
        [ -n "$before" ] || fail "$host: its metrics do not say when it was started; it and those after it were not changed"
    fi
    ssh -o BatchMode=yes -o ConnectTimeout=5 "$host" "$command" || fail "$host: '$command' fails"
    await "$host" "$before" || fail \
        "$host: no healthy new server $patience s after its $change (see journalctl -u stheno there); the hosts after it were not changed"
    echo "$host: $change is done"
done

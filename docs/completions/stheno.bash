# Made from src/config/options.txt by tests/completions.rs; do not edit.
_stheno() {
    local word=${COMP_WORDS[COMP_CWORD]}
    case ${COMP_WORDS[COMP_CWORD-1]} in
        -r | --root) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        --host) COMPREPLY=(); return ;;
        --port) COMPREPLY=(); return ;;
        --listen) COMPREPLY=(); return ;;
        --unix-mode) COMPREPLY=(); return ;;
        -w | --workers) COMPREPLY=(); return ;;
        --accept) mapfile -t COMPREPLY < <(compgen -W 'exclusive shared reuseport' -- "$word"); return ;;
        --tls-cert) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --tls-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --redirect-http) COMPREPLY=(); return ;;
        --max-age) COMPREPLY=(); return ;;
        --file-cache) COMPREPLY=(); return ;;
        --config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --log) mapfile -t COMPREPLY < <(compgen -W 'debug info warning error critical off' -- "$word"); return ;;
        --logfile) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --access-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --pidfile) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --status) COMPREPLY=(); return ;;
        --status-path) COMPREPLY=(); return ;;
        --record) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --record-when-turn-exceeds) COMPREPLY=(); return ;;
        --grace) COMPREPLY=(); return ;;
        --worker-timeout) COMPREPLY=(); return ;;
        --user) COMPREPLY=(); return ;;
        --group) COMPREPLY=(); return ;;
        --sandbox) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$word"); return ;;
        --header-timeout) COMPREPLY=(); return ;;
        --keepalive-timeout) COMPREPLY=(); return ;;
        --body-timeout) COMPREPLY=(); return ;;
        --min-body-rate) COMPREPLY=(); return ;;
        --write-timeout) COMPREPLY=(); return ;;
        --min-write-rate) COMPREPLY=(); return ;;
        --linger-timeout) COMPREPLY=(); return ;;
        --max-connections) COMPREPLY=(); return ;;
        --max-connections-per-ip) COMPREPLY=(); return ;;
        --max-requests-per-connection) COMPREPLY=(); return ;;
        --max-target-bytes) COMPREPLY=(); return ;;
        --max-field-bytes) COMPREPLY=(); return ;;
        --max-fields) COMPREPLY=(); return ;;
        --max-header-bytes) COMPREPLY=(); return ;;
        --max-body-bytes) COMPREPLY=(); return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W '-r --root --host --port --listen --unix-mode -w --workers --accept --defer-accept --tls-cert --tls-key --tls-self-signed --redirect-http --listing --dotfiles --no-symlinks --follow-symlinks --precompressed --max-age --file-cache --no-server-header --config --check --log --logfile --access-log --pidfile --status --status-path --record --record-when-turn-exceeds --grace --worker-timeout --version -h --help --user --group --sandbox --require-sandbox --header-timeout --keepalive-timeout --body-timeout --min-body-rate --write-timeout --min-write-rate --linger-timeout --max-connections --max-connections-per-ip --max-requests-per-connection --max-target-bytes --max-field-bytes --max-fields --max-header-bytes --max-body-bytes' -- "$word")
}
complete -F _stheno stheno

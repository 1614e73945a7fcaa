# Made from src/config/options.txt by tests/completions.rs; do not edit.
_stheno() {
    local word=${COMP_WORDS[COMP_CWORD]}
    case ${COMP_WORDS[COMP_CWORD-1]} in
        -r | --root) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        --host) COMPREPLY=(); return ;;
        -p | --port) COMPREPLY=(); return ;;
        --listen) COMPREPLY=(); return ;;
        --unix-mode) COMPREPLY=(); return ;;
        -w | --workers) COMPREPLY=(); return ;;
        --accept) mapfile -t COMPREPLY < <(compgen -W 'exclusive shared reuseport' -- "$word"); return ;;
        --tls-cert) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --tls-key) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --redirect-http) COMPREPLY=(); return ;;
        --max-age) COMPREPLY=(); return ;;
        --file-cache) COMPREPLY=(); return ;;
        --header) COMPREPLY=(); return ;;
        --cache) COMPREPLY=(); return ;;
        --cors) COMPREPLY=(); return ;;
        --mime-types) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --default-type) COMPREPLY=(); return ;;
        --index) COMPREPLY=(); return ;;
        --spa-file) COMPREPLY=(); return ;;
        --error-page) COMPREPLY=(); return ;;
        --config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --explain) COMPREPLY=(); return ;;
        --explain-header) COMPREPLY=(); return ;;
        --log) mapfile -t COMPREPLY < <(compgen -W 'debug info warning error critical off' -- "$word"); return ;;
        --logfile) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --access-log) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --access-log-format) COMPREPLY=(); return ;;
        --pidfile) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --status) COMPREPLY=(); return ;;
        --status-path) COMPREPLY=(); return ;;
        --record) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --record-when-turn-exceeds) COMPREPLY=(); return ;;
        --grace) COMPREPLY=(); return ;;
        --drain-delay) COMPREPLY=(); return ;;
        --worker-timeout) COMPREPLY=(); return ;;
        --user) COMPREPLY=(); return ;;
        --group) COMPREPLY=(); return ;;
        --sandbox) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$word"); return ;;
        --allow) COMPREPLY=(); return ;;
        --auth) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --proxy-protocol) COMPREPLY=(); return ;;
        --forwarded-from) COMPREPLY=(); return ;;
        --forwarded-field) COMPREPLY=(); return ;;
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
    mapfile -t COMPREPLY < <(compgen -W '-r --root --host -p --port --listen --unix-mode -w --workers --accept --defer-accept --tls-cert --tls-key --tls-self-signed --redirect-http --listing --no-listing --dotfiles --no-symlinks --follow-symlinks --precompressed --max-age --file-cache --no-server-header --header --cache --cors --mime-types --default-type --index --clean-urls --spa --spa-file --error-page --config --qr --open --check --explain --explain-header --log --logfile --access-log --access-log-format --pidfile --status --status-path --record --record-when-turn-exceeds --grace --drain-delay --worker-timeout --version -h --help --user --group --sandbox --require-sandbox --allow --auth --auth-without-tls --proxy-protocol --forwarded-from --forwarded-field --header-timeout --keepalive-timeout --body-timeout --min-body-rate --write-timeout --min-write-rate --linger-timeout --max-connections --max-connections-per-ip --max-requests-per-connection --max-target-bytes --max-field-bytes --max-fields --max-header-bytes --max-body-bytes' -- "$word")
    if [[ $word != -* ]]; then compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); fi
}
complete -F _stheno stheno

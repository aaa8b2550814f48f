# shellcheck shell=sh
# Brings units to their state and does the restarts that are due, one after the other; stops at the first that fails.
#
# $1 the run directory, then six for each unit:
# NAME RUNNING (yes, no, any) ENABLED (yes, no, any) HEALTH HEALTH_SECONDS INTACT (a command, or "").
# A marker is removed only after its unit is active and healthy, so whatever ends this script early, the next run repairs.
set -eu
LC_ALL=C.UTF-8
export LC_ALL
run=$1
shift

mkdir -p "$run"
exec 9>"$run/lock"
flock -w 300 9 || {
    echo "corral: another converge of this host has held $run/lock for five minutes; try again when it is done." >&2
    exit 1
}
property() {
    systemctl show --property="$2" --value -- "$1"
}

# Says why $1 is not as it should be, and ends.
give_up() {
    {
        printf '%s\n' "$2"
        if [ -s "$run/health" ]; then
            echo "The health check said:"
            iconv -c -f UTF-8 -t UTF-8 "$run/health" | tail -n 10
        fi
        echo "The last lines of its journal:"
        journalctl --unit="$1" --lines=20 --no-pager --quiet --output=short-iso | iconv -c -f UTF-8 -t UTF-8
    } >&2
    rm -f "$run/health"
    exit 1
}

# Is $1 active, or has it nothing to stay active for?
settled() {
    case $(property "$1" ActiveState) in
    active | reloading | refreshing) return 0 ;;
    inactive)
        [ "$(property "$1" ConditionResult)" = no ] && return 0
        [ "$(property "$1" Type)" = oneshot ] && [ "$(property "$1" Result)" = success ]
        ;;
    *) return 1 ;;
    esac
}

# Has $1 been asked to restart or reload ($2) by any of its names?
is_due() {
    for known in "$1" $(property "$1" Names); do
        [ ! -e "$run/$2/$known" ] || return 0
    done
    return 1
}

# Sets which of the units start at boot; $read becomes yes when systemd must read its units anew.
enable_all() {
    read=
    while [ $# -gt 0 ]; do
        # What is on the disk; the property UnitFileState is what systemd remembers.
        state=$(systemctl is-enabled -- "$1" 2>/dev/null) || :
        case $3:$state in
        yes:masked*)
            systemctl unmask --no-reload --quiet -- "$1"
            systemctl enable --no-reload --quiet -- "$1"
            read=yes
            ;;
        yes:enabled | yes:static | yes:indirect | yes:generated | yes:alias | yes:transient) ;;
        yes:*)
            systemctl enable --no-reload --quiet -- "$1"
            read=yes
            ;;
        no:enabled*)
            systemctl disable --no-reload --quiet -- "$1"
            read=yes
            ;;
        esac
        [ "$(property "$1" NeedDaemonReload)" = no ] || read=yes
        shift 6
    done
}

enable_all "$@"
# Once for all units, as systemd runs all its generators for it, and only if need be. It must be after their links
# changed, else systemd takes an enabled unit for disabled, and forgets one that is skipped by its condition.
[ -z "$read" ] || systemctl daemon-reload

while [ $# -gt 0 ]; do
    unit=$1 running=$2 health=$4 seconds=$5 intact=$6
    shift 6

    if [ "$running" = no ]; then
        systemctl stop -- "$unit"
    else
        was=$(property "$unit" ActiveState)
        act=
        if is_due "$unit" restart; then
            act=restart
        elif is_due "$unit" reload; then
            act=reload-or-restart
        elif [ "$running" = yes ] && ! [ "$was" = active ]; then
            act=start
        elif [ -n "$intact" ] && ! sh -c "$intact" >/dev/null 2>&1 </dev/null 9>&-; then
            act=reload-or-restart
        fi
        # What nobody wants to run is not started by a restart that is due.
        [ "$running" = yes ] || [ "$was" = active ] || act=
        if [ -n "$act" ]; then
            systemctl reset-failed -- "$unit" 2>/dev/null || : # fails for a unit that was never loaded, and start says so
            systemctl "$act" -- "$unit" || give_up "$unit" "$unit did not $act."
            sleep 0.3 # a process that dies at once is active for a moment
            deadline=$(($(date +%s) + seconds))
            until settled "$unit" && timeout "$((seconds < 10 ? seconds : 10))" sh -c "${health:-:}" >"$run/health" 2>&1 </dev/null 9>&-; do
                state=$(property "$unit" ActiveState)
                [ "$state" != failed ] || give_up "$unit" "$unit failed after its $act."
                [ "$(date +%s)" -lt "$deadline" ] ||
                    give_up "$unit" "$unit is $state, but not healthy $seconds s after its $act.${health:+ The check: $health}"
                sleep 0.25
            done
            rm -f "$run/health"
        fi
    fi

    for known in "$unit" $(property "$unit" Names); do
        rm -f "$run/restart/$known" "$run/reload/$known"
    done
done

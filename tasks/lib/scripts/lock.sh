# shellcheck shell=sh
# Takes this host's converge lock ($1) for as long as the SSH connection lasts by which this command came, waiting at most
# $2 seconds for the converge that holds it. A process that stays behind holds it: it ends with the connection, whatever
# becomes of the other end.
set -eu
lock=$1 seconds=$2
mkdir -p "${lock%/*}"

# The connection's own process: the nearest sshd above. Where there is none, the command's own caller.
connection=$PPID
process=$$
while [ "$process" -gt 1 ]; do
    read -r name <"/proc/$process/comm"
    case $name in
    sshd*)
        connection=$process
        break
        ;;
    esac
    # The fourth field of stat; the second is a name in parentheses, which may hold spaces.
    process=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$process/stat")
done

mark=$lock.$$
trap 'rm -f "$mark"' EXIT
: >"$mark"
# shellcheck disable=SC2016 # its own arguments
setsid sh -c '
    lock=$1 seconds=$2 connection=$3 mark=$4
    exec 9>"$lock"
    if flock -w "$seconds" 9; then echo held >"$mark"; else echo busy >"$mark"; exit; fi
    while kill -0 "$connection" 2>/dev/null; do sleep 1; done
' sh "$lock" "$seconds" "$connection" "$mark" </dev/null >/dev/null 2>&1 &
until [ -s "$mark" ]; do sleep 0.02; done
[ "$(cat "$mark")" = held ] || {
    echo "corral: this host has been converging itself for $seconds s; look at it: journalctl -u corral-converge. Try again later." >&2
    exit 1
}
echo held

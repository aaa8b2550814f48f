# shellcheck shell=sh
# $1 the run directory, then two for each unit: NAME INTACT ("" or a command that fails when the unit's work is undone).
# Prints the markers that are left there ("restart/nginx.service"), "lost/" and the name of each unit that isn't intact,
# a line "--", and what systemd says of each unit, divided by empty lines.
run=$1
shift
for marker in "$run"/restart/* "$run"/reload/*; do
    [ ! -f "$marker" ] || echo "${marker#"$run"/}"
done
units=
while [ $# -gt 0 ]; do
    [ -z "$2" ] || sh -c "$2" >/dev/null 2>&1 </dev/null || echo "lost/$1"
    units="$units $1" # names of units have no spaces
    shift 2
done
echo --
# shellcheck disable=SC2086
LC_ALL=C exec systemctl show --property=Names,LoadState,ActiveState,UnitFileState,NeedDaemonReload,Type,RemainAfterExit,Result \
    --property=ConditionResult,ConditionTimestampMonotonic,ExecMainExitTimestampMonotonic -- $units

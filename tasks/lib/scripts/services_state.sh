# shellcheck shell=sh
# $1 the run directory, then units. Prints the markers that are left there ("restart/nginx.service"), a line "--", and what
# systemd says of each unit, divided by empty lines.
run=$1
shift
for marker in "$run"/restart/* "$run"/reload/*; do
    [ ! -f "$marker" ] || echo "${marker#"$run"/}"
done
echo --
LC_ALL=C exec systemctl show --property=Names,LoadState,ActiveState,UnitFileState,NeedDaemonReload,Type,RemainAfterExit,Result \
    --property=ConditionResult,ConditionTimestampMonotonic,ExecMainExitTimestampMonotonic -- "$@"

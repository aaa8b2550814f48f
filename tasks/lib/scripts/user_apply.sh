# shellcheck shell=sh
# $1 a system user, $2 its home, $3 its shell, $4 further groups with commas between: makes or mends the account.
set -eu
if getent passwd "$1" >/dev/null; then
    # A home that is somewhere else stays where it is; usermod refuses while a process of the user runs, and says so.
    usermod --home "$2" --shell "$3" ${4:+--append --groups "$4"} -- "$1"
else
    useradd --system --user-group --no-create-home --home-dir "$2" --shell "$3" ${4:+--groups "$4"} -- "$1"
fi

# shellcheck shell=sh
# Is Postgres's cluster $1/main in the directory $2, as this host's own? Says "in place" if so.
configuration=/etc/postgresql/$1/main/postgresql.conf
[ "$(cat "$2/PG_VERSION" 2>/dev/null)" = "$1" ] || exit 0
[ "$(stat -c %U:%G "$2")" = postgres:postgres ] || exit 0
if [ -e "$configuration" ]; then
    grep -qxF "data_directory = '$2'" "$configuration" || exit 0
fi
echo "in place"

# shellcheck shell=sh
# Lets the data of Postgres's cluster $1/main be in the directory $2, on what must be mounted at $3 ("": on any disk).
# What is there is adopted; what is elsewhere on this host is never left behind by a new, empty cluster.
set -eu
umask 022
cd /
version=$1 directory=$2 mount=$3
configuration=/etc/postgresql/$version/main/postgresql.conf
binaries=/usr/lib/postgresql/$version/bin

refuse() {
    echo "corral: $* See docs/data.md." >&2
    exit 1
}

[ -z "$mount" ] || mountpoint -q "$mount" ||
    refuse "no volume is mounted at $mount, so there is no database to serve, and none is made in its place."

# As Debian made it, or an earlier version of corral.
old=$(sed -n "s/^ *data_directory *=\{0,1\} *'\([^']*\)'.*/\1/p" "$configuration" 2>/dev/null | tail -n 1)
[ -n "$old" ] || old=/var/lib/postgresql/$version/main
if [ "$old" != "$directory" ] && [ -e "$old/PG_VERSION" ]; then
    refuse "this host's database is in $old, and shall be in $directory. Nothing was changed. Move it there by hand, once."
fi

if [ ! -e "$directory/PG_VERSION" ]; then
    for other in "${directory%/*/*}"/*/*/PG_VERSION; do
        [ ! -e "$other" ] || [ "${other%/*}" = "$directory.new" ] ||
            refuse "there is a database in ${other%/*}, which a new one in $directory would hide. Nothing was changed." \
                "Bring it to version $version (pg_upgrade), or move it away."
    done
    install -d -o postgres -g postgres "${directory%/*/*}" "${directory%/*}"
    # Whole or not at all: a cluster that is half made is made anew.
    rm -rf -- "$directory.new"
    # Order and case of letters are Postgres's own (builtin): indexes hold whatever C library the next host has.
    runuser -u postgres -- "$binaries/initdb" --pgdata="$directory.new" --encoding=UTF8 --locale=C.UTF-8 \
        --locale-provider=builtin --builtin-locale=C.UTF-8 --data-checksums \
        --auth-local=peer --auth-host=scram-sha-256 --no-instructions >/dev/null
    # The configuration is the host's, in /etc.
    rm -- "$directory.new/postgresql.conf" "$directory.new/pg_hba.conf" "$directory.new/pg_ident.conf"
    mv -T -- "$directory.new" "$directory"
    sync -f "$directory"
    exit 0
fi

have=$(cat "$directory/PG_VERSION")
[ "$have" = "$version" ] ||
    refuse "the database in $directory is of version $have, and this host's server of version $version. Nothing was changed."
# A user's number differs between hosts. chown does the folder itself last, so what is cut short is done again.
if [ "$(stat -c %U:%G "$directory")" != postgres:postgres ]; then
    chown postgres:postgres "${directory%/*/*}" "${directory%/*}"
    chown -R postgres:postgres "$directory"
fi

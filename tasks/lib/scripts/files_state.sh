# shellcheck shell=sh
# What stands at the given paths? One that ends in / asks for a folder's names too.
# Prints ASCII only, whatever the names and contents are:
#   the positions (from 0) of those paths at which anything stands, on one line;
#   for each of them: raw mode in hex, owner, uid, group, gid;
#   for each of them that is a link: the sha256 of its target;
#   for each of them that is a regular file: the sha256 of its content;
#   for each folder whose names are asked for: the sha256 of the names in it, sorted, folders' left out.
LC_ALL=C
export LC_ALL
position=0
positions=
listings=
for path do
    shift
    asked=$path
    path=${path%/}
    if [ -e "$path" ] || [ -L "$path" ]; then
        positions="$positions $position"
        set -- "$@" "$path"
        if [ "$asked" != "$path" ] && [ -d "$path" ] && [ ! -L "$path" ]; then
            listings="$listings$(find "$path/" -mindepth 1 -maxdepth 1 ! -type d -printf '%f\n' | sort | sha256sum)
"
        fi
    fi
    position=$((position + 1))
done
echo "$positions"
[ $# -gt 0 ] || exit 0
stat -c '%f %U %u %G %g' -- "$@" || exit 1
for path do
    shift
    if [ -L "$path" ]; then
        readlink -n -- "$path" | sha256sum
    elif [ -f "$path" ]; then
        set -- "$@" "$path"
    fi
done
[ $# -eq 0 ] || sha256sum -- "$@" | cut -b 1-65
printf %s "$listings"

# shellcheck shell=sh
# Brings new files, links and folders to their places, or changes nothing.
#
# $1 the run directory, $2 the check ("" for none), $3 markers such as "restart/nginx.service reload/ssh.service",
# then six for each entry: KIND (file, link, directory, absent) MODE OWNER GROUP PATH DETAIL (a file's sha256, a link's target,
# the names that may be in a folder, a line each; "-" where any may).
# stdin: base64 of a tar whose members 0, 1, 2… are the files' contents, named by the entry's position.
#
# The order is what makes it safe to be killed at any moment:
#   1. everything is laid out in the run directory, with owner and mode, and compared with its checksum;
#   2. the check runs in a mount namespace of its own, where the new files stand at their real paths, while
#      everybody else still sees the old ones;
#   3. the markers are left: whoever comes next knows that a restart is due;
#   4. each file is copied beside its target, flushed, and renamed over it.
set -eu
umask 077
LC_ALL=C.UTF-8
export LC_ALL
run=$1 check=$2 markers=$3
shift 3
newline='
'
user=$(id -u) # not root only where the tests are not

refuse() {
    printf 'corral: %s\n' "$*" >&2
    exit 1
}

mkdir -p "$run"
chmod 755 "$run"
exec 9>"$run/lock"
flock -w 300 9 || refuse "another converge of this host has held $run/lock for five minutes; try again when it is done."

stage=$run/stage
rm -rf "$stage" # what a killed run left
mkdir "$stage" "$stage/body" "$stage/tree"
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM

# With today's date (--touch): systemd tells by the date that it hasn't read a unit's file yet.
base64 -d | tar -x -f - -C "$stage/body" --no-same-owner --touch || refuse "the files did not arrive in full; run it again."

# The nearest folder above $1 that exists.
standing() {
    folder=${1%/*}
    while [ ! -d "${folder:-/}" ]; do folder=${folder%/*}; done
    printf '%s\n' "${folder:-/}"
}

# Makes the folder $1 under the tree, each part with the owner and mode of the real one, for a look at it merges both.
mirror() {
    part=
    rest=$1/
    while [ -n "$rest" ]; do
        part=$part${rest%%/*}
        rest=${rest#*/}
        if [ ! -d "$stage/tree$part" ]; then
            mkdir "$stage/tree$part"
            if [ -d "$part/" ]; then
                [ "$user" != 0 ] || chown --reference="$part/" "$stage/tree$part/"
                chmod --reference="$part/" "$stage/tree$part/"
            else
                chmod 755 "$stage/tree$part/"
            fi
        fi
        part=$part/
    done
}

# Calls the function $1 once for each entry of the rest.
for_each() {
    visit=$1
    shift
    position=0
    while [ $# -gt 0 ]; do
        kind=$1 mode=$2 owner=$3 group=$4 path=$5 detail=$6
        shift 6
        "$visit"
        position=$((position + 1))
    done
}

# Calls the function $1 with each name in the folder $path that may not be there. Folders in it may.
surplus() {
    [ "$detail" != - ] && [ -d "$path" ] || return 0
    for there in "$path"/* "$path"/.[!.]* "$path"/..?*; do
        [ ! -d "$there" ] || [ -L "$there" ] || continue
        [ -e "$there" ] || [ -L "$there" ] || continue
        name=${there##*/}
        case $name in
        *"$newline"*) ;; # a task's names have none
        *) case $newline$detail in *"$newline$name$newline"*) continue ;; esac ;;
        esac
        "$1" "$name"
    done
}

# How an overlay says that a name is gone.
hide() { [ -c "$1" ] || mknod "$1" c 0 0; }
hide_in() { hide "$new/$1"; }
remove() { rm -f -- "$path/$1"; }

# 1. Lay out.
folders=
lay_out() {
    real=$(readlink -m -- "${path%/*}/")
    new=$stage/tree${real%/}/${path##*/}
    mirror "$real"
    case $kind in
    file)
        [ ! -d "$path" ] || [ -L "$path" ] || refuse "$path is a folder and should be a file; move it away first."
        echo "$detail  $stage/body/$position" | sha256sum --check --status ||
            refuse "the content of $path did not arrive as it was sent; run it again."
        chown -- "$owner:$group" "$stage/body/$position"
        chmod -- "$mode" "$stage/body/$position"
        cp -p -- "$stage/body/$position" "$new"
        ;;
    link)
        [ ! -d "$path" ] || [ -L "$path" ] || refuse "$path is a folder and should be a link; move it away first."
        ln -s -- "$detail" "$new"
        ;;
    directory)
        if [ -L "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then
            refuse "$path is a file or link and should be a folder; move it away first."
        fi
        [ -d "$new" ] || mkdir -- "$new"
        chown -- "$owner:$group" "$new"
        chmod -- "$mode" "$new"
        [ -z "$check" ] || surplus hide_in
        ;;
    absent)
        [ ! -d "$path" ] || [ -L "$path" ] || refuse "$path is a folder, and folders are never removed; move it away first."
        [ -z "$check" ] || hide "$new"
        ;;
    esac
    folders="$folders$(standing "$real/")
"
}
for_each lay_out "$@"

# 2. Check.
if [ -n "$check" ]; then
    # One look per topmost folder. Its layers are named by links, for a colon in a path would divide lowerdir's list.
    looks=0
    last=
    while IFS= read -r folder; do
        case $folder/ in "$last"/*) [ -z "$last" ] || continue ;; esac
        [ -n "$folder" ] || continue
        # A layer may not be within another (ELOOP). What lies in /run itself is no configuration that a check reads.
        case $stage/ in "${folder%/}"/*) continue ;; esac
        last=$folder
        ln -s "$stage/tree$folder" "$stage/new$looks"
        ln -s "$folder" "$stage/old$looks"
        looks=$((looks + 1))
    done <<EOF
$(printf %s "$folders" | sort -u)
EOF
    mapped=
    [ "$user" = 0 ] || mapped=--map-root-user
    # shellcheck disable=SC2016,SC2086
    if ! unshare $mapped --mount sh -c '
        stage=$1 check=$2 looks=$3
        look=0
        while [ "$look" -lt "$looks" ]; do
            mount -t overlay corral -o "lowerdir=$stage/new$look:$stage/old$look" "$(readlink "$stage/old$look")" || exit 125
            look=$((look + 1))
        done
        cd /
        exec sh -c "$check" 9>&-' corral "$stage" "$check" "$looks" >"$stage/said" 2>&1 </dev/null; then
        {
            echo "The check refused the new files, so nothing was changed and nothing will be restarted."
            case $check in
            *"$newline"*) echo "It said:" ;; # a script would bury what matters
            *) printf '"%s" said:\n' "$check" ;;
            esac
            iconv -c -f UTF-8 -t UTF-8 "$stage/said" | tail -n 40
        } >&2
        exit 1
    fi
fi

# 3. Leave the markers. They come before the files: a run that is killed here costs a restart too many, never one too few.
for marker in $markers; do
    mkdir -p "$run/${marker%/*}"
    : >"$run/$marker"
done

# 4. Move.
place() {
    folder=${path%/*}
    [ -d "$folder/" ] || (umask 022 && mkdir -p -- "$folder")
    beside=$folder/.${path##*/}.corral-new
    case $kind in
    file)
        cp -p -- "$stage/body/$position" "$beside"
        sync -- "$beside"
        mv -fT -- "$beside" "$path"
        ;;
    link)
        ln -sfT -- "$detail" "$beside"
        mv -fT -- "$beside" "$path"
        ;;
    directory)
        [ -d "$path" ] || mkdir -- "$path"
        chown -- "$owner:$group" "$path"
        chmod -- "$mode" "$path"
        surplus remove
        ;;
    absent) rm -f -- "$path" ;;
    esac
}
for_each place "$@"

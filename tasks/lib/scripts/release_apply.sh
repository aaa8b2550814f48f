# shellcheck shell=sh
# Brings a release into service: $1 the archive (s3://… or a file), $2 the version, $3 the archive's sha256, $4 for how many
# seconds it is tried beside what serves before it takes over, $5 a version that a gate refused after it had taken over.
#
# The order is what makes it safe to be killed at any moment: until the link is switched the old release serves and is
# what starts at boot; from then on the new one; and what is left over is removed by the next run.
set -eu
umask 022
cd /
source=$1 version=$2 sha256=$3 trial=$4 refused=$5
home=/srv/app
mkdir -p /run/corral
exec 9>/run/corral/release.lock
flock -w 300 9 || {
    echo "corral: another converge of this host has been changing its release for five minutes; try again when it is done." >&2
    exit 1
}
kept=3 # releases that served, and are here to go back to, beside the current one

as_app() {
    runuser -u app -- /usr/local/lib/corral/app-processes "$@"
}

# Removes releases that never came to serve, and of those that did the oldest.
prune() {
    for release in "$home"/releases/*; do
        [ "$release" = "$home/releases/$version" ] || [ -e "$release/.served" ] || rm -rf -- "$release"
    done
    # shellcheck disable=SC2012 # versions have no odd characters (corral/releases/names.py)
    ls -t "$home"/releases/*/.served | tail -n +$((kept + 2)) | while read -r served; do
        rm -rf -- "${served%/.served}"
    done
    # An asset with one name only is in no release any more.
    find "$home/assets" -type f -links 1 -delete
    find "$home/assets" -mindepth 1 -type d -empty -delete
}

new=$home/releases/$version
mkdir -p "$home/assets"
/usr/local/lib/corral/install-archive "$source" "$sha256" "$new"
case $source in s3://*) ;; *) rm -f -- "$source" ;; esac
if [ ! -e "$new/server/main.js" ] || [ ! -d "$new/dist/assets" ]; then
    echo "corral: release $version lacks server/main.js or dist/assets, so it can't serve. What ran before still does." >&2
    exit 1
fi
# nginx finds every release's assets in one place, under names that tell their content.
cp -rlf "$new/dist/assets/." "$home/assets/"

# All files of an archive are equally old, and nginx tells versions apart by time and size: a new page of the same size
# would pass for the old one. So the time tells of the content.
find "$new/dist" -path "$new/dist/assets" -prune -o -type f -exec sha256sum {} + | while read -r sum file; do
    touch -d "@$((0x$(printf %.7s "$sum")))" -- "$file"
done

name=$(as_app beside "$new" "$trial")
ln -sfT "releases/$version" "$home/.current.new"
mv -fT "$home/.current.new" "$home/current"
touch "$new/.served"
as_app only "$name"
# It is none of those to go back to.
[ -z "$refused" ] || rm -f "$home/releases/$refused/.served"
prune

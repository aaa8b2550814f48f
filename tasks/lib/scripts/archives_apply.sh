# shellcheck shell=sh
# Unpacks archives and lets links point to them.
#
# $1 the run directory, $2 markers such as "restart/corral-app.service", $3 the folder of the links, then four for each
# archive: SOURCE SHA256 DIRECTORY LINK.
set -eu
umask 022
run=$1 markers=$2 folder=$3
shift 3
mkdir -p "$folder"

while [ $# -gt 0 ]; do
    source=$1 sha256=$2 directory=$3 link=$4
    shift 4
    /usr/local/lib/corral/install-archive "$source" "$sha256" "$directory"
    case $source in s3://*) ;; *) rm -f -- "$source" ;; esac

    # The markers first: a run that is killed here costs a restart too many, never one too few.
    for marker in $markers; do
        mkdir -p "$run/${marker%/*}"
        : >"$run/$marker"
    done
    before=$(readlink -- "$folder/$link" || :)
    ln -sfT -- "${directory##*/}" "$folder/.$link.new"
    mv -fT -- "$folder/.$link.new" "$folder/$link"

    # The one before stays until the next: what runs may still read from it.
    for other in "$folder/$link"-[0-9]*; do
        case ${other##*/} in "${directory##*/}" | "$before") ;; *) rm -rf -- "$other" ;; esac
    done
done

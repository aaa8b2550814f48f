# shellcheck shell=sh
# $1 a folder, then names: prints the kind of machine, then for each name what its link in the folder says.
directory=$1
shift
uname -m
for name do
    readlink -- "$directory/$name" || echo
done

# shellcheck shell=sh
# The line of passwd of user $1 and the names of its groups; nothing when there is no such user.
getent passwd "$1" || exit 0
id -Gn -- "$1"

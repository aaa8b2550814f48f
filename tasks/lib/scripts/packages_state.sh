# shellcheck shell=sh
# Prints those of the packages $1… that are installed, as "installed NAME"; of others dpkg-query knows another state or
# nothing: it ends with 1 for a name that it never heard of, after it listed the others.
dpkg-query -W -f '${db:Status-Status} ${Package}\n' -- "$@" 2>/dev/null || test $? = 1

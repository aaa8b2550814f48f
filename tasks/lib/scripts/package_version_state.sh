# shellcheck shell=sh
# Prints the version of the software in the package $1 if it is installed: of "1:8.19.21-1" that is 8.19.21.
dpkg-query -W -f '${db:Status-Status} ${source:Upstream-Version}\n' -- "$1" 2>/dev/null | sed -n 's/^installed //p'

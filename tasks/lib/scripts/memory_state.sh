# shellcheck shell=sh
# Prints the host's memory in kB.
sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo

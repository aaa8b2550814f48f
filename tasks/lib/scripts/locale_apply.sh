# shellcheck shell=sh
# Generates the locale $1 with the character set that its name ends in (locale.gen(5)), now and after upgrades of libc.
set -eu
line="$1 ${1#*.}"
grep -qxF -- "$line" /etc/locale.gen || printf '%s\n' "$line" >>/etc/locale.gen
locale-gen

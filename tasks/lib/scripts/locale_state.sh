# shellcheck shell=sh
# Prints "generated" when the locale $1 is there; `locale -a` writes "de_DE.utf8" for de_DE.UTF-8.
wanted=$(printf %s "$1" | sed 's/UTF-8/utf8/')
if locale -a 2>/dev/null | grep -qxiF -- "$wanted"; then echo generated; fi

# shellcheck shell=sh
# Is sshd's configuration right, and can user $1 still log in with a key? Hardening must lock nobody out.
sshd -t || exit 1

# What sshd would do for this user (sshd(8), -T with -C).
rules=$(sshd -T -C "user=$1,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22") || exit 1
setting() {
    printf '%s\n' "$rules" | sed -n "s/^$1 //p"
}
[ "$(setting pubkeyauthentication)" = yes ] || {
    echo "keys would not be accepted from $1 any more"
    exit 1
}

home=$(getent passwd "$1" | cut -d: -f6)
[ -n "$home" ] || {
    echo "there is no user $1, as whom the host is to be reached (ssh.user of the environment)"
    exit 1
}
for file in $(setting authorizedkeysfile); do
    file=$(printf '%s' "$file" | sed "s|%h|$home|g; s|%u|$1|g; s|%%|%|g")
    case $file in /*) ;; *) file=$home/$file ;; esac
    # Lists the keys of the file, and fails when it has none.
    ssh-keygen -l -f "$file" >/dev/null 2>&1 && exit 0
done
echo "the user $1 has no authorized key, so nobody could log in with passwords off: give it one first"
exit 1

#!/bin/sh
# Runs once at the end of the base image's build, with the image's root directory as its argument.
set -eu
root=$1
here=$(dirname "$0")

install -m 644 "$here/cloud.cfg" "$root/etc/cloud/cloud.cfg.d/90_image.cfg"

# A host's address is there before it boots. A client for addresses would take it away (systemd-networkd), or
# wait for a lease that never comes (dhcpcd, which cloud-init depends on; diverted, so apt stays content).
for unit in systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service \
            systemd-resolved.service systemd-timesyncd.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
for client in dhcpcd dhclient; do
    if [ -e "$root/usr/sbin/$client" ]; then
        chroot "$root" dpkg-divert --local --rename --add "/usr/sbin/$client" >/dev/null
    fi
done

# Nobody needs a host of the lab after the machine's own power went: packages need not wait for the disk.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/lab"

# Each host makes its own keys and identity at its first boot.
rm -f "$root"/etc/ssh/ssh_host_*
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/etc/hostname"

chroot "$root" update-ca-certificates >/dev/null
# The build's resolver is the machine's. A host's is its VPC's, written when the host is made.
rm -f "$root/etc/resolv.conf"
rm -rf "$root"/var/log/apt/* "$root"/var/log/*.log "$root"/var/cache/apt/archives/*.deb

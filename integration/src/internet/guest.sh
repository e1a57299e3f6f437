# shellcheck shell=bash
# A network behind the host's, the way containers have theirs: bash guest.sh FOLDER PID. A veth pair to the network that
# the process PID is in, which forwards and masquerades. It ends when its standard input does.
set -euo pipefail
dir=$1
host=$2

ip link set lo up
ip link add eth0 type veth peer name guest0 netns "$host"
nsenter --target "$host" --net bash -c '
  ip address add 192.0.2.5/30 dev guest0
  ip link set guest0 up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  nft -f - <<RULES
table ip guest {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname guest0 accept
  }
  chain out {
    type nat hook postrouting priority 100;
    oifname up0 masquerade
  }
}
RULES'
ip address add 192.0.2.6/30 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.5
mount --bind "$dir/resolv.conf" "$(realpath /etc/resolv.conf)"
mount --bind "$dir/hosts" "$(realpath /etc/hosts)"
mount --bind "$dir/nsswitch.conf" "$(realpath /etc/nsswitch.conf)"
echo ready
cat >/dev/null

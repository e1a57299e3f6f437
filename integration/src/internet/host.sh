# shellcheck shell=bash
# Where supervisors of tests run: bash host.sh FOLDER PID. A network whose only way out is the pretend internet, which
# the process PID is in, and a resolver configuration of its own. It ends when its standard input does.
set -euo pipefail
dir=$1
inet=$2

ip link set lo up
# Both ends are born where they stay: moving one costs tens of milliseconds.
ip link add up0 type veth peer name down0 netns "$inet"
nsenter --target "$inet" --net bash -c '
  ip address add 192.0.2.1/30 dev down0
  ip address add 2001:db8:77::1/64 dev down0 nodad
  ip link set down0 up'
ip address add 192.0.2.2/30 dev up0
ip address add 2001:db8:77::2/64 dev up0 nodad
ip link set up0 up
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8:77::1

# Counts everything that this network sends anywhere, to itself too.
nft -f - <<'END'
table inet watch {
  set four {
    typeof ip daddr . meta l4proto . th dport
    size 65535
    flags dynamic
    counter
  }
  set six {
    typeof ip6 daddr . meta l4proto . th dport
    size 65535
    flags dynamic
    counter
  }
  chain out {
    type filter hook output priority 0; policy accept;
    tcp flags & (syn | ack) == syn update @four { ip daddr . meta l4proto . th dport }
    tcp flags & (syn | ack) == syn update @six { ip6 daddr . meta l4proto . th dport }
    meta l4proto udp update @four { ip daddr . meta l4proto . th dport }
    meta l4proto udp update @six { ip6 daddr . meta l4proto . th dport }
  }
}
END

# Over what the names lead to, where they are links.
mount --bind "$dir/resolv.conf" "$(realpath /etc/resolv.conf)"
mount --bind "$dir/hosts" "$(realpath /etc/hosts)"
mount --bind "$dir/nsswitch.conf" "$(realpath /etc/nsswitch.conf)"
# Its socket would answer from the real network.
[[ ! -d /run/nscd ]] || mount -t tmpfs tmpfs /run/nscd
echo ready
cat >/dev/null

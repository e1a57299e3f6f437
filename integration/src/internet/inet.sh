# shellcheck shell=bash
# The servers of the pretend internet: bash inet.sh FOLDER ADDRESS... . PID 1 of its own namespaces, so that they end with
# it; it ends when its standard input does.
set -euo pipefail
dir=$1
shift

ip link set lo up
for address in "$@"; do
  # Without duplicate detection an IPv6 address can be used at once.
  case $address in
    *:*) ip address add "$address/128" dev lo nodad ;;
    *) ip address add "$address/32" dev lo ;;
  esac
done
ulimit -n 16384

cd "$dir"
# Dated back a day: the clock of a virtual machine may be set while the tests run.
cat >ca.cnf <<'END'
[ca]
default_ca = test
[test]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
default_startdate = 20200101000000Z
default_enddate = 20991231000000Z
policy = any
copy_extensions = copy
[any]
commonName = supplied
END
: >index
echo 01 >serial
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.csr -subj "/CN=Pretend CA" \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>openssl.log
# Each command is checked by itself.
# shellcheck disable=SC2129
openssl ca -batch -config ca.cnf -selfsign -keyfile ca.key -in ca.csr -out ca.pem -notext 2>>openssl.log
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj "/CN=server" \
  -addext "subjectAltName=$(sed 's/^/DNS:/' certified | paste -sd,)" 2>>openssl.log
openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in server.csr -out server.pem -notext 2>>openssl.log

mkdir -p www
truncate -s 64M www/big
# No upstream server: what is in no file does not exist.
dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --local=/#/ --addn-hosts="$dir/names" \
  --cname=alias.example.com,a.example.com --local-ttl=0 --host-record=kept.example.com,93.184.215.10,3600 --pid-file --user=root \
  --log-queries --log-facility="$dir/dns.log" </dev/null &
dns=$!
nginx -p "$dir" -c "$dir/nginx.conf" </dev/null &
python3 "$dir/servers.py" "$dir" "$@" </dev/null &
while ! [[ -S servers.ready && -s nginx.pid && -s dns.log ]]; do
  # Ends with an error where a server did.
  jobs -r | grep -c . | grep -qx 3 || { cat nginx.error >&2; exit 1; }
  sleep 0.01
done
echo ready
while read -r line; do
  case $line in
    names) kill -HUP "$dns" ;;
    *) exit 1 ;;
  esac
done

#!/usr/bin/env bash
# Run the extension in a pretend internet of its own and show what became of it. SANDBOXCTL=FILE names the program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
export PATH here

if [[ ${1:-} != inside ]]; then
  [[ $EUID -eq 0 ]] || { echo "error: needs root" >&2; exit 1; }
  built=$here/../../target/x86_64-unknown-linux-gnu/release/sandboxctl
  [[ -x $built ]] || built=sandboxctl
  SANDBOXCTL=${SANDBOXCTL:-$built}
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  export SANDBOXCTL work
  unshare --net --mount --propagation private bash "$0" inside
  exit
fi

# Here is the host: a network namespace with one way out, to the pretend internet in a second one.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=pretend internet" \
  -keyout "$work/key.pem" -out "$work/ca.pem" \
  -addext "subjectAltName=DNS:erp.example.com,DNS:backup.example.net" 2>"$work/openssl.log"
cat >"$work/server.py" <<'END'
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(f"server: {self.headers['Host']} got {body}", flush=True)
        self.send_response(201)
        self.end_headers()
        self.wfile.write(b"accepted\n")
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("", 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{sys.argv[1]}/ca.pem", f"{sys.argv[1]}/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
open(f"{sys.argv[1]}/ready", "w").close()
server.serve_forever()
END
# shellcheck disable=SC2016 # the inner shell expands them
# Its standard input is this script's pipe: it ends with it.
coproc INTERNET { exec unshare --net --kill-child bash -c 'read -r; python3 "$work/server.py" "$work" & server=$!; read -r; kill $server'; } 2>&1
exec 3>&"${INTERNET[1]}" 4<&"${INTERNET[0]}"
internet=$INTERNET_PID
until [[ $(readlink "/proc/$internet/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.02; done
ip link set lo up
ip link add erp0 type veth peer name erp1 netns "$internet"
ip address add 198.51.100.1/30 dev erp0
ip link set erp0 up
ip route add default via 198.51.100.2
nsenter --net="/proc/$internet/ns/net" sh -c '
  ip link set lo up
  ip address add 198.51.100.2/30 dev erp1
  ip address add 203.0.113.10/32 dev lo
  ip link set erp1 up'
printf '%s\n' "203.0.113.10 erp.example.com backup.example.net" >"$work/hosts"
mount --bind "$work/hosts" /etc/hosts
echo serve >&3
until [[ -e $work/ready ]]; do sleep 0.05; done

cp -r "$here" "$work/bundle"
cp "$work/ca.pem" "$work/bundle/ca.pem"
code=0
SANDBOXCTL_STATE_DIR=$work/state SANDBOXCTL_CONFIG_DIR=$work/config \
  timeout 60 "$SANDBOXCTL" run --report "$work/report.json" "$work/bundle" -- /ext/ca.pem || code=$?
echo end >&3
exec 3>&-
cat <&4
python3 - "$work/report.json" <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
for flow in report["network"]["domains"]:
    print(f"report: {flow['domain']}:{flow['port']}: {flow['connections']} connection, {flow['bytesOut']} bytes out, {flow['bytesIn']} in")
for violation in report["violations"]:
    print(f"report: {violation['code']}: {violation['object'].get('name', '')} ({violation['rule']}), {violation['count']} times")
END
exit "$code"

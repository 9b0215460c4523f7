# shellcheck shell=bash
# The stage of the demo: a separate system around this machine's programs, five networks, and what runs
# in them before sallyport. demo.d/story sources it in mount and PID namespaces made for it: whatever is
# mounted, written to /etc, /run and /var/lib, or started here ends with the demo.

GATEWAY=plant-7/gw-0042
P=sallyport/$GATEWAY

# --- output and waiting ---------------------------------------------------------------------------

title() { printf '\n== %s\n' "$*"; }
pause() { $check || sleep "$1"; }

fail() {
  local name
  echo "demo: FAILED: $*" >&2
  for name in agent netd broker sshd; do
    [[ ! -s /run/$name.log ]] || tail -n 8 "/run/$name.log" | sed "s/^/  $name | /" >&2
  done
  exit 1
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "timeout: $what"
    sleep 0.1
  done
}

at() { ip netns exec "$@"; } # in the background, $! would be a shell: not for what gets signals

# show PLACE COMMAND...: prints the command as typed there, and its output. It has to succeed.
show() {
  local word line=
  for word in "${@:2}"; do
    [[ $word != *[\ \;]* ]] || word="\"$word\""
    line+=" $word"
  done
  printf '%s#%s\n' "$1" "$line"
  at "$@" 2>&1 | sed 's/^/  /' || fail "the command failed"
}

stop() { # PID: asks, waits, insists
  kill "$1" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$1" 2>/dev/null || true
}

# --- a system of its own --------------------------------------------------------------------------

# Paths, users and modes are as in the packages.
make_system() {
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs -o mode=755 tmpfs /var/lib
  cp -a /etc /run/etc
  mount --bind /run/etc /etc
  mkdir -p /run/bin /run/sshd /run/plant /run/desk /etc/mosquitto/conf.d
  rm -rf /etc/sallyport /etc/sallyport-hub /etc/mosquitto/conf.d/*
  getent group sallyport-admin >/dev/null || groupadd --system sallyport-admin
  for user in sallyport sallyport-netd; do
    id -u "$user" >/dev/null 2>&1 || useradd --system --no-log-init --user-group "$user"
  done
  # The technician logs in by SSH as this user, who has no password but is not locked.
  useradd --no-log-init --no-create-home --home-dir /run/service --shell /bin/sh --password '*' \
    --groups sallyport-admin service
  install -d -o sallyport -g sallyport-admin -m 2750 /run/sallyport
  install -d -o sallyport -g sallyport -m 750 /var/lib/sallyport
  install -d -o sallyport-netd -g sallyport-netd -m 750 /var/lib/sallyport-netd
  install -d -o sallyport-netd -g sallyport-netd -m 755 /run/sallyport-netd
  install -d -o mosquitto -g mosquitto -m 750 /var/lib/mosquitto
  # For wireguard-go, if the kernel has no WireGuard: its sockets, and its device as in Debian.
  install -d -m 777 /run/wireguard
  mknod -m 666 /run/tun c 10 200
  [[ ! -e /dev/net/tun ]] || mount --bind /run/tun /dev/net/tun
  install "$build/agent/sallyportd" "$build/tunnel/sallyport-netd" "$build/agent/cli/sallyport" /run/bin
  ln -s "$PWD/packaging/hub/sallyport-hub" /run/bin/sallyport-hub
  PATH=/run/bin:$PATH
}

# --- networks -------------------------------------------------------------------------------------

link() { # PLACE INTERFACE ADDRESS PLACE INTERFACE ADDRESS
  ip link add "$2" netns "$1" type veth peer name "$5" netns "$4"
  ip -n "$1" address add "$3/24" dev "$2"
  ip -n "$4" address add "$6/24" dev "$5"
  ip -n "$1" link set "$2" up
  ip -n "$4" link set "$5" up
}

make_networks() {
  local place
  for place in plant gateway internet hub office; do
    ip netns add "$place"
    ip -n "$place" link set lo up
  done
  link plant eth0 192.168.10.5 gateway eth1 192.168.10.1
  link gateway eth0 192.0.2.2 internet eth0 192.0.2.1
  link hub eth0 198.51.100.7 internet eth1 198.51.100.1
  link office eth0 203.0.113.9 internet eth2 203.0.113.1
  ip -n gateway route add default via 192.0.2.1
  ip -n hub route add default via 198.51.100.1
  ip -n office route add default via 203.0.113.1
  at internet sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  printf '127.0.0.1 localhost\n198.51.100.7 hub.example.com\n' >/etc/hosts
  echo "plant 192.168.10.5 -- 192.168.10.1 gateway 192.0.2.2 -- internet -- 198.51.100.7 hub.example.com"
  echo "                                                       '-- 203.0.113.9 office"
}

# --- what runs there ------------------------------------------------------------------------------

start_plant() {
  at plant "$build/tests/plant/plant" -S /run/plant/control \
    "tcp plc1 192.168.10.5 502 1" "rtu line1 /run/plant/ttyS1 19200 8E1 7" \
    "unit plc1/1 set holding 100 0 16832" "unit plc1/1 polls holding 20" \
    "unit plc1/1 set coil 3 1" "unit line1/7 set input 0 1480" >/run/plant.log 2>&1 &
  wait_for 10 "start of the plant" grep -q ready /run/plant.log
  chown sallyport "$(readlink -f /run/plant/ttyS1)"
}

# As with the drop-in of sallyport-hub: never root.
start_broker() {
  local caps=-all,+net_bind_service
  printf 'persistence true\npersistence_location /var/lib/mosquitto/\ninclude_dir /etc/mosquitto/conf.d\n' \
    >/etc/mosquitto/mosquitto.conf
  ln -sf /etc/sallyport-hub/broker/mosquitto.conf /etc/mosquitto/conf.d/sallyport-hub.conf
  ip netns exec hub setpriv --reuid=mosquitto --regid=mosquitto --clear-groups --inh-caps="$caps" \
    --ambient-caps="$caps" --bounding-set="$caps" mosquitto -c /etc/mosquitto/mosquitto.conf \
    >/run/broker.log 2>&1 &
  broker=$!
  printf '#!/bin/sh\nexec kill -HUP %d\n' "$broker" >/etc/sallyport-hub/reload-broker
  chmod 755 /etc/sallyport-hub/reload-broker
  wait_for 10 "start of the broker" grep -q running /run/broker.log
}

start_wireguard() { # PLACE FILE
  at "$1" wg-quick up "$2" </dev/null >"/run/wg-$1.log" 2>&1 ||
    fail "WireGuard did not come up: $(tail -n 1 "/run/wg-$1.log")"
}

# As its unit: a user whose only privilege is CAP_NET_ADMIN.
start_netd() {
  local caps=-all,+net_admin
  ip netns exec gateway setpriv --reuid=sallyport-netd --regid=sallyport-netd --clear-groups --inh-caps="$caps" \
    --ambient-caps="$caps" --bounding-set="$caps" sallyport-netd >/run/netd.log 2>&1 &
  netd=$!
  wait_for 20 "start of netd" test -S /run/sallyport-netd/netd.sock
}

start_agent() {
  ip netns exec gateway setpriv --reuid=sallyport --regid=sallyport --clear-groups --inh-caps=-all \
    --bounding-set=-all sallyportd 2>>/run/agent.log &
  agent=$!
}

# Records everything that is published about the gateway, with a read-only login: one line each.
start_historian() {
  cd /run/desk/historian-operator
  at office mosquitto_sub -h hub.example.com -p 8883 --cafile ca.pem --cert operator.pem \
    --key operator.key -u historian -P "$(<password)" -i historian -c -q 1 -t "$P/#" -F '%t %p' \
    >/run/historian.log 2>/run/historian.err &
  cd /run/desk
}

# The gateway's sshd, on every address; it knows the technician's key.
start_sshd() {
  install -d -o service -g service -m 700 /run/service /run/service/.ssh
  install -o service -g service -m 600 /run/alice/.ssh/id_sallyport.pub /run/service/.ssh/authorized_keys
  ssh-keygen -q -t ed25519 -N '' -f /run/host-key
  printf '%s\n' 'ListenAddress 0.0.0.0' 'HostKey /run/host-key' 'PidFile none' 'UsePAM no' \
    'StrictModes no' 'PasswordAuthentication no' >/run/sshd.conf
  at gateway /usr/sbin/sshd -D -f /run/sshd.conf -E /run/sshd.log &
  wait_for 10 "start of sshd" at gateway bash -c '</dev/tcp/127.0.0.1/22'
}

# shellcheck shell=bash
# Loads the files into broker, WireGuard and kernel, and checks that they are in use: through systemd's
# units, or, if it exists, through the executable ROOT/reload-broker (a broker in a container, tests).

has_systemd() {
  [[ -d /run/systemd/system && $root == /etc/sallyport-hub ]]
}

# Links the files to where mosquitto, WireGuard and systemd look for them.
install_links() {
  has_systemd || return 0
  mkdir -p /etc/mosquitto/conf.d /etc/wireguard /etc/systemd/system/mosquitto.service.d
  ln -sfn "$library/mosquitto-service.conf" \
    /etc/systemd/system/mosquitto.service.d/sallyport-hub.conf
  [[ -f /lib/systemd/system/sallyport-hub-firewall.service ]] ||
    ln -sfn "$library/sallyport-hub-firewall.service" \
      /etc/systemd/system/sallyport-hub-firewall.service
  ln -sfn "$root/broker/mosquitto.conf" /etc/mosquitto/conf.d/sallyport-hub.conf
  ln -sfn "$root/wireguard/${settings[interface]}.conf" \
    "/etc/wireguard/${settings[interface]}.conf"
  systemctl daemon-reload
  systemctl -q enable sallyport-hub-firewall.service "wg-quick@${settings[interface]}.service" \
    mosquitto.service
}

# What connection tracking has followed before the first rules is forgotten: what may go on is let
# through packet by packet, and everything else begins again, or not at all.
apply_firewall() {
  local is_first=
  nft list table inet sallyport_hub >/dev/null 2>&1 || is_first=yes
  nft -f "$root/nftables.conf" || {
    say "the firewall keeps its old rules: nft refused $root/nftables.conf"
    return 1
  }
  [[ -n $is_first ]] || return 0
  conntrack -F 2>"$work/conntrack.log" || {
    say "connections from before the firewall may go on: $(tail -n 1 "$work/conntrack.log")"
    return 1
  }
}

# Routes of plant networks: wg-quick adds them when it brings the interface up; when peers come and go,
# only this function does. The route of the tunnel's own network stays.
apply_routes() {
  local wg=${settings[interface]} route failed=0
  declare -A wanted=()
  while read -r route; do wanted[${route%/32}]=1; done < <(cat /dev/null "$root"/gateways/*/*/behind)
  while read -r route _; do
    [[ $route == "${settings[network]}" || -n ${wanted[${route%/32}]:-} ]] ||
      ip -4 route del "$route" dev "$wg" || failed=1
  done < <(ip -4 route show dev "$wg")
  for route in "${!wanted[@]}"; do ip -4 route replace "$route" dev "$wg" || failed=1; done
  return $failed
}

apply_wireguard() {
  local wg=${settings[interface]}
  if ip link show dev "$wg" >/dev/null 2>&1; then
    wg syncconf "$wg" "$root/wireguard/peers" && apply_routes && return
  elif has_systemd; then
    systemctl start "wg-quick@$wg.service" && return
  fi
  say "WireGuard: $wg is down, or did not accept its peers: run wg-quick up $root/wireguard/$wg.conf"
  return 1
}

# When mosquitto reads its files again, it ends the connections of removed users and of users with a new
# password.
apply_broker() {
  if [[ -x $root/reload-broker ]]; then
    "$root/reload-broker" {lock}>&- && return
  elif has_systemd; then
    if [[ $1 == first ]]; then
      systemctl restart mosquitto.service && return # listeners are opened at its start only
    else
      systemctl reload-or-restart mosquitto.service && return
    fi
  fi
  say "the broker has not read its files again: run systemctl reload mosquitto"
  return 1
}

# Firewall and tunnel first, so that a removal takes effect there even if the broker cannot be reloaded.
apply_now() { # first or again
  local failed=
  apply_firewall || failed+=' firewall'
  apply_wireguard || failed+=' WireGuard'
  apply_broker "$1" || failed+=' broker'
  [[ -z $failed ]] ||
    fail "the files are written, but not in use yet by:$failed. Repair that, then run sallyport-hub apply"
}

# After every change.
follow() {
  halfway="the change is in the registry, but NOT in effect: the files of broker, tunnel and firewall could not be written. Repair that, then run sallyport-hub apply"
  write_files
  halfway=
  if [[ -f $root/active ]]; then
    apply_now again
  else
    say "The files have not been applied yet: run sallyport-hub apply"
  fi
}

broker_tool() { # mosquitto_sub|mosquitto_pub OPTION...: the broker on this machine, as the hub itself
  XDG_CONFIG_HOME="$root/broker-login" timeout 10 "$1" "${@:2}" 2>"$work/broker.log"
}

# Deletes what a removed gateway left at the broker: its last status would say "online" for ever.
forget_retained() { # SITE/ID
  [[ -f $root/active ]] || return 0
  local code=0
  # It ends by the timeout, with 27, because MQTT does not say when the last retained message has come.
  broker_tool mosquitto_sub -t "${settings[prefix]}/$1/#" --retained-only --remove-retained -W 1 \
    >/dev/null || code=$?
  [[ $code -eq 0 || $code -eq 27 ]] ||
    say "the retained messages of $1 are still at the broker: $(tail -n 1 "$work/broker.log")"
}

# --- check ----------------------------------------------------------------------------------------

finding() {
  printf '%s\n' "$*"
  findings=$((findings + 1))
}

check_files() {
  local file
  mkdir -p "$work/made/broker" "$work/made/wireguard"
  regenerate "$work/made"
  for file in "$work"/made/*/* "$work"/made/nftables.conf; do
    cmp -s "$file" "$root/${file#"$work"/made/}" ||
      finding "${file#"$work"/made/} differs from the registry: run sallyport-hub apply"
  done
  openssl crl -in "$root/broker/crl.pem" -noout 2>/dev/null ||
    finding "broker/crl.pem is damaged, so nobody can connect: run sallyport-hub apply"
}

check_ends() { # certificates that have expired or will within 30 days
  local soon file until
  soon=$(date -u -d '+30 days' +%F)
  for file in "$root"/gateways/*/*/until "$root"/operators/*/until; do
    read -r until <"$file"
    file=${file#"$root"/}
    [[ $until > $soon ]] || finding "${file%/until}: the certificate expires on $until: renew it"
  done
  for file in broker/server.pem ca/ca.pem; do
    until=$(end_of "$root/$file")
    [[ $until > $soon ]] || finding "$file expires on $until: run sallyport-hub renew"
  done
}

check_running() {
  local wg=${settings[interface]}
  nft list table inet sallyport_hub >/dev/null 2>&1 ||
    finding "the firewall is not loaded: run sallyport-hub apply"
  [[ $(wg show "$wg" peers 2>/dev/null | sort) == \
  $(sed -n 's/^PublicKey = //p' "$root/wireguard/peers" | sort) ]] ||
    finding "WireGuard: $wg is down or has other peers: run sallyport-hub apply"
  broker_tool mosquitto_pub -t "${settings[prefix]}/hub" -q 1 -n ||
    finding "the broker does not accept a login on port 8883: $(tail -n 1 "$work/broker.log")"
}

# shellcheck shell=bash
# Makes broker, WireGuard and kernel follow the files, and asks whether they do. On a server with
# systemd by its units; ROOT/reload-broker, an executable, takes systemd's place where there is one
# (a broker in a container, tests).

has_systemd() {
  [[ -d /run/systemd/system && $root == /etc/sallyport-hub ]]
}

# What the three read is found where they look for it.
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

apply_firewall() {
  nft -f "$root/nftables.conf" || {
    say "the firewall kept its old rules: nft refused $root/nftables.conf"
    return 1
  }
}

# Routes of networks behind gateways: wg-quick adds them when it brings the interface up, and
# nobody but us does when peers come and go. The network of the tunnel itself is none of them.
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
  say "WireGuard: $wg is not up, or did not take its peers: wg-quick up $root/wireguard/$wg.conf"
  return 1
}

# A broker that is told to read its files again ends the sessions of users who are no longer there,
# or whose password is another one.
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
  say "the broker was not told to read its files again: systemctl reload mosquitto"
  return 1
}

# Removals come first: tunnel and firewall follow even where the broker does not.
apply_now() { # first or again
  local failed=
  apply_firewall || failed+=' firewall'
  apply_wireguard || failed+=' WireGuard'
  apply_broker "$1" || failed+=' broker'
  [[ -z $failed ]] ||
    fail "the files are as they should be, but this does not follow them yet:$failed. Mend it, then: sallyport-hub apply"
}

# After every change.
follow() {
  halfway="the change is entered, but NOT in effect: what broker, tunnel and firewall read could not be written. Mend that, then: sallyport-hub apply"
  write_files
  halfway=
  if [[ -f $root/active ]]; then
    apply_now again
  else
    say "Nothing is running by these files yet: sallyport-hub apply"
  fi
}

broker_tool() { # mosquitto_sub|mosquitto_pub OPTION...: the broker on this machine, as the hub itself
  XDG_CONFIG_HOME="$root/broker-login" timeout 10 "$1" "${@:2}" 2>"$work/broker.log"
}

# What a removed gateway left at the broker: its last status would say "online" for ever.
forget_retained() { # SITE/ID
  [[ -f $root/active ]] || return 0
  local code=0
  # It ends by the timeout, with 27: nothing says that no more retained messages come.
  broker_tool mosquitto_sub -t "${settings[prefix]}/$1/#" --retained-only --remove-retained -W 1 \
    >/dev/null || code=$?
  [[ $code -eq 0 || $code -eq 27 ]] ||
    say "what $1 left retained at the broker is still there: $(tail -n 1 "$work/broker.log")"
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
      finding "${file#"$work"/made/} is not what the registry says: sallyport-hub apply"
  done
  openssl crl -in "$root/broker/crl.pem" -noout 2>/dev/null ||
    finding "broker/crl.pem is damaged, nobody gets in: sallyport-hub apply"
}

check_ends() { # certificates that end within 30 days, or have
  local soon file until
  soon=$(date -u -d '+30 days' +%F)
  for file in "$root"/gateways/*/*/until "$root"/operators/*/until; do
    read -r until <"$file"
    file=${file#"$root"/}
    [[ $until > $soon ]] || finding "${file%/until}: the certificate ends on $until: renew it"
  done
  for file in broker/server.pem ca/ca.pem; do
    until=$(end_of "$root/$file")
    [[ $until > $soon ]] || finding "$file ends on $until: sallyport-hub renew"
  done
}

check_running() {
  local wg=${settings[interface]}
  nft list table inet sallyport_hub >/dev/null 2>&1 ||
    finding "the firewall is not loaded: sallyport-hub apply"
  [[ $(wg show "$wg" peers 2>/dev/null | sort) == \
  $(sed -n 's/^PublicKey = //p' "$root/wireguard/peers" | sort) ]] ||
    finding "WireGuard: $wg is down or has other peers: sallyport-hub apply"
  broker_tool mosquitto_pub -t "${settings[prefix]}/hub" -q 1 -n ||
    finding "the broker does not take a login on port 8883: $(tail -n 1 "$work/broker.log")"
}

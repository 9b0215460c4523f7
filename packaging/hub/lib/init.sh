# shellcheck shell=bash
# sallyport-hub init: checks its options, builds the whole folder beside its final place and moves it
# there with one rename. Starts and loads nothing.

need_setting() { # checks the options of init
  local value
  [[ -n ${option[name]:-} ]] || misuse "--name NAME is missing: the name that gateways and technicians connect to"
  is_ipv4 "${option[name]}" || is_host_name "${option[name]}" ||
    misuse "\"${option[name]}\" is neither a host name nor an IPv4 address"
  many address
  for value in "${values[@]}"; do
    is_ipv4 "$value" || is_ipv6 "$value" || misuse "\"$value\" is not an address"
  done
  [[ ${option[prefix]:=sallyport} =~ ^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,7}$ && ${#option[prefix]} -le 128 ]] ||
    misuse "--prefix: up to 8 levels of A-Z a-z 0-9 _ - with / between them, 128 characters at most"
  [[ ${option[interface]:=sphub} =~ ^[a-z][a-z0-9_-]{0,14}$ ]] || misuse "--interface: up to 15 of a-z 0-9 _ -"
  if [[ ${option[network]:=10.254.0.0/16} != *.0.0/16 ]] || ! set_range "${option[network]}"; then
    misuse "--network: a network of 16 bits, such as 10.254.0.0/16"
  fi
  [[ ${option[days]:=1095} =~ ^[1-9][0-9]{0,3}$ ]] || misuse "--days: 1 to 9999"
  if [[ ! ${option[ssh-port]:=22} =~ ^[1-9][0-9]{0,4}$ || ${option[ssh-port]} -gt 65535 ]]; then
    misuse "--ssh-port: 1 to 65535"
  fi
  many ssh-from
  for value in "${values[@]}"; do
    [[ $value == *:*:* && $value =~ ^[0-9A-Fa-f:]+(/[0-9]{1,3})?$ ]] || set_range "$value" ||
      misuse "--ssh-from \"$value\" is not a network such as 192.0.2.0/24"
  done
  [[ -n ${option[ssh-from]:-} || -n ${option[no-ssh]:-} ]] ||
    misuse "apply will close every port but 8883/tcp, 443/tcp and 443/udp: give --ssh-from NETWORK for each network that may still use SSH, or --no-ssh"
  [[ -z ${option[ssh-from]:-} || -z ${option[no-ssh]:-} ]] || misuse "give either --ssh-from or --no-ssh"
  value=${option[ca]:+1}${option[certificate]:+1}${option[key]:+1}
  [[ -z $value || $value == 111 ]] || misuse "--ca, --certificate and --key go together"
}

save_settings() {
  local list
  cat <<E
# Written by sallyport-hub init. After a change run sallyport-hub apply; after a change of names, renew.
name=${option[name]}
E
  many address
  list=$(printf '%s,' "${values[@]}")
  printf 'addresses=%s\nprefix=%s\ninterface=%s\nnetwork=%s\ndays=%s\n' "${list%,}" \
    "${option[prefix]}" "${option[interface]}" "${option[network]}" "${option[days]}"
  many ssh-from
  list=$(printf '%s,' "${values[@]}")
  printf 'ssh_from=%s\nssh_port=%s\n' "${list%,}" "${option[ssh-port]}"
  [[ -z ${option[ca]:-} ]] || printf 'identity=external\n'
}

# The hub's own login at the broker, used on this machine only.
make_login() { # FOLDER
  local tool
  entry=$1/broker-login
  mkdir -m 700 "$entry"
  new_password "$broker_user" "$entry/password"
  issue_client hub "$broker_user"
  mv "$work/client.key" "$entry/key.pem"
  for tool in mosquitto_sub mosquitto_pub; do
    # The name is not checked, because this is the same machine; the authority is checked.
    printf '%s\n' '-h 127.0.0.1' '-p 8883' "-u $broker_user" "-P $password" '--insecure' \
      "--cafile $final/broker/ca.pem" "--cert $final/broker-login/certificate.pem" \
      "--key $final/broker-login/key.pem" >"$entry/$tool"
    chmod 600 "$entry/$tool"
  done
}

make_identity() { # FOLDER
  local names
  if [[ -n ${option[ca]:-} ]]; then
    need_identity "${option[ca]}" "${option[certificate]}" "${option[key]}" "${option[name]}"
    cp -- "${option[ca]}" "$1/broker/ca.pem"
    cp -- "${option[certificate]}" "$1/broker/server.pem"
    cp -- "${option[key]}" "$1/broker/server.key"
  else
    cp "$1/ca/ca.pem" "$1/broker/ca.pem"
    many address
    names=$(printf '%s,' "${option[name]}" "${values[@]}")
    issue_server "$1/ca" "$1/broker/server.key" "$1/broker/server.pem" "${names%,}"
  fi
  chmod 640 "$1"/broker/server.{pem,key} "$1/broker/ca.pem"
  chgrp "$(broker_group)" "$1/broker" "$1"/broker/server.{pem,key} "$1/broker/ca.pem"
  chmod 750 "$1/broker"
}

announce() {
  say "The hub is set up in $root. It signs enrolments with the key $(enrolment_fingerprint):
tell that to whoever sets up gateways, by phone or in person, not in the mail that carries an enrolment.
Nothing has been started. \"sallyport-hub apply\" will do this:
  - mosquitto listens on 8883/tcp and 443/tcp, with TLS, client certificates and passwords
  - WireGuard (${settings[interface]}, $pool.0.1) listens on 443/udp
  - nftables closes every other port of this server at once, for new and existing connections, and
    lets it forward packets from technicians to gateways only. Connections that this server itself
    has open break once"
  if [[ -n ${settings[ssh_from]} ]]; then
    say "  - SSH (${settings[ssh_port]}/tcp) stays open to ${settings[ssh_from]//,/, } only"
  else
    say "  - SSH IS CLOSED TOO: after that you reach this server at its console only"
  fi
  [[ -z ${SSH_CONNECTION:-} ]] ||
    say "  You are connected by SSH from ${SSH_CONNECTION%% *}: is that in one of these networks?"
}

run_init() {
  parse name= 'address*' ca= certificate= key= 'ssh-from*' no-ssh ssh-port= prefix= interface= \
    network= days= -- "$@"
  need_words 0
  need_setting
  [[ ! -e $root/hub.conf ]] || fail "$root is already set up"
  [[ -d ${root%/*} ]] || fail "${root%/*} is not a folder"
  local final=$root new
  new=$(mktemp -d "$root.new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  chmod 755 "$new"
  root=$new
  work=$new/work
  mkdir -m 700 "$work" "$new"/{gateways,operators,technicians,wireguard}
  mkdir "$new/broker"
  save_settings >"$new/hub.conf"
  read_settings
  make_authority "$new/ca" "${settings[name]}"
  make_identity "$new"
  make_enrolment_key "$new/enrolment"
  (umask 077 && wg genkey >"$new/wireguard/private.key")
  wg pubkey <"$new/wireguard/private.key" >"$new/wireguard/public.key"
  settings[days]=$ca_days # the hub's own login lasts as long as the authority
  make_login "$new"
  rm -rf "$work"
  [[ ! -d $final ]] || rmdir "$final" 2>/dev/null || fail "$final exists and is not empty"
  sync -f "$new"
  mv -T "$new" "$final"
  root=$final
  enter_root
  write_files
  announce
}

# shellcheck shell=bash
# Makes the files of broker, WireGuard and kernel from the registry. Each function writes the content of
# one file to stdout; regenerate puts each in place as a whole.

broker_user=/hub # the hub's own login; no gateway and no operator can have this name

mosquitto_conf() {
  local port
  cat <<E
# Written by sallyport-hub: do not edit, the next change overwrites it.
# One policy for all listeners; an option that 2.0 keeps per listener is repeated in each.
allow_anonymous false
password_file $root/broker/passwords
acl_file $root/broker/acl
set_tcp_nodelay true
# The largest message of a gateway is 1 MiB plus its topic.
max_packet_size 1100000
max_queued_messages 10000
E
  for port in 8883 443; do
    cat <<E

listener $port
tls_version tlsv1.2
ciphers ECDHE+AESGCM:ECDHE+CHACHA20
certfile $root/broker/server.pem
keyfile $root/broker/server.key
cafile $root/broker/clients-ca.pem
crlfile $root/broker/crl.pem
require_certificate true
E
  done
}

passwords() {
  cat "$root/broker-login/password" "$root"/gateways/*/*/password "$root"/operators/*/password
}

# A section for each user and no pattern: a pattern would apply to operators too, and a name with a
# slash, + or # could make it match another topic.
acl() {
  local p=${settings[prefix]} folder who site topic
  printf '# Written by sallyport-hub: do not edit, the next change overwrites it.\n'
  printf 'user %s\ntopic readwrite %s/#\n' "$broker_user" "$p"
  for folder in "$root"/gateways/*/*/; do
    who=${folder%/}
    who=${who#"$root"/gateways/}
    printf 'user %s\n' "$who"
    for topic in 'data/#' status event challenge reply; do
      printf 'topic write %s/%s/%s\n' "$p" "$who" "$topic"
    done
    printf 'topic read %s/%s/command\n' "$p" "$who"
  done
  for folder in "$root"/operators/*/; do
    who=${folder%/}
    printf 'user %s\n' "${who##*/}"
    while read -r site; do
      printf 'topic read %s/%s/+/#\n' "$p" "$site"
      [[ -f $folder/read-only ]] || printf 'topic write %s/%s/+/command\n' "$p" "$site"
    done <"$folder/sites"
  done
}

wireguard_peers() {
  local folder key shared address behind
  for folder in "$root"/gateways/*/*/ "$root"/technicians/*/; do
    get key "$folder" wireguard-key
    get shared "$folder" preshared-key
    get address "$folder" address
    behind=
    [[ ! -f $folder/behind ]] || behind=$(sed 's/^/, /' "$folder/behind" | tr -d '\n')
    folder=${folder%/}
    printf '\n# %s\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nAllowedIPs = %s/32%s\n' \
      "${folder#"$root"/}" "$key" "$shared" "$address" "$behind"
  done
}

# For wg-quick: brings the interface up. Forwarding is switched on for this interface alone.
wireguard_quick() {
  local key
  read -r key <"$root/wireguard/private.key"
  cat <<E
# Written by sallyport-hub: do not edit, the next change overwrites it.
[Interface]
Address = $pool.0.1/16
ListenPort = 443
PrivateKey = $key
MTU = 1420
PostUp = echo 1 >/proc/sys/net/ipv4/conf/%i/forwarding
PostUp = echo 0 >/proc/sys/net/ipv4/conf/%i/send_redirects
E
  wireguard_peers
}

# For wg syncconf: the same peers, without the keys that only wg-quick knows.
wireguard_sync() {
  local key
  read -r key <"$root/wireguard/private.key"
  printf '[Interface]\nListenPort = 443\nPrivateKey = %s\n' "$key"
  wireguard_peers
}

# The elements of a set, or nothing: nft refuses an empty list.
elements() {
  local list
  list=$(paste -sd,)
  [[ -z $list ]] || printf '    elements = { %s }\n' "${list//,/, }"
}

gateway_networks() { # SITE, or nothing for all of them
  local files
  if [[ $# -gt 0 ]]; then
    files=("$root/gateways/$1"/*/{address,behind})
  else
    files=("$root"/gateways/*/*/{address,behind})
  fi
  [[ ${#files[@]} -eq 0 ]] || cat "${files[@]}"
}

# TECHNICIAN . NETWORK of those who are bound to sites.
bound_technicians() {
  local folder address site
  for folder in "$root"/technicians/*/; do
    [[ -f $folder/sites ]] || continue
    get address "$folder" address
    while read -r site; do
      gateway_networks "$site" | sed "s|^|$address . |"
    done <"$folder/sites"
  done
}

free_technicians() {
  local folder
  for folder in "$root"/technicians/*/; do
    [[ -f $folder/sites ]] || cat "$folder/address"
  done
}

ssh_rules() { # "saddr" and "dport" for what comes in, "daddr" and "sport" for the replies
  local net networks=()
  IFS=, read -ra networks <<<"${settings[ssh_from]:-}"
  for net in "${networks[@]}"; do
    if [[ $net == *:* ]]; then net="ip6 $1 $net"; else net="ip $1 $net"; fi
    printf '    %s tcp %s %s%s accept\n' "$net" "$2" "${settings[ssh_port]:-22}" "${3:-}"
  done
}

# Packets from the tunnel are checked first, one by one: what a technician may no longer reach stops at
# once, even within an existing connection.
# "Established" is not enough for the rest: connection tracking takes a connection that it did not
# follow from its first packet for one of whoever sends the next packet. So connections of this server
# begin with a SYN (SCTP: with the chunk INIT), and connections that others began pass only on the open
# ports, in both directions.
# This server answers with no ICMP: neither errors nor redirects, although it forwards.
nftables() {
  local not_syn=" tcp flags & (fin | syn | rst | ack) != syn"
  local wg=${settings[interface]} technicians gateways bound
  technicians=$(free_technicians | elements) # a failure in here must end the program
  gateways=$(gateway_networks | elements)
  bound=$(bound_technicians | elements)
  cat <<E
# Written by sallyport-hub: do not edit, the next change overwrites it.
table inet sallyport_hub
delete table inet sallyport_hub
table inet sallyport_hub {
  set technicians {
    type ipv4_addr
$technicians
  }
  set gateways {
    type ipv4_addr
    flags interval
$gateways
  }
  set bound {
    type ipv4_addr . ipv4_addr
    flags interval
$bound
  }
  chain input {
    type filter hook input priority filter - 5; policy drop;
    iifname "lo" accept
    fib saddr type local drop
    iifname "$wg" drop
    ct state invalid drop
    ct state established ct direction reply accept
    ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } fib daddr . iif type local accept
    ct state related icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } fib daddr . iif type local accept
    icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
    udp sport 67 udp dport 68 accept
    tcp dport { 443, 8883 } accept
    udp dport 443 accept
$(ssh_rules saddr dport)
    drop
  }
  chain output {
    type filter hook output priority filter - 5; policy accept;
    oifname "lo" accept
    icmp type != { echo-request, router-solicitation, timestamp-request } drop
    icmpv6 type != { echo-request, mld-listener-report, mld-listener-done, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } drop
    tcp sport { 443, 8883 }$not_syn accept
    udp sport 443 accept
$(ssh_rules daddr sport "$not_syn")
    udp sport 68 udp dport 67 accept
    ct state established ct direction reply drop
    ct state invalid drop
    ct state new$not_syn drop
    ct state new meta l4proto sctp @th,96,8 != 1 drop
  }
  chain forward {
    type filter hook forward priority filter - 5; policy drop;
    iifname "$wg" oifname "$wg" jump tunnel
    drop
  }
  chain tunnel {
    ct direction original ip saddr @technicians ip daddr @gateways accept
    ct direction original ip saddr . ip daddr @bound accept
    ct direction reply ct state established,related ip daddr @technicians ip saddr @gateways accept
    ct direction reply ct state established,related ip daddr . ip saddr @bound accept
  }
}
E
}

signers_of() { # SITE -> allowed_signers
  local folder
  for folder in "$root"/operators/*/; do
    if [[ -f $folder/signer ]] && grep -qxF -- "$1" "$folder/sites"; then cat "$folder/signer"; fi
  done
}

broker_group() {
  if getent group mosquitto >/dev/null; then echo mosquitto; else echo root; fi
}

# Writes every file that is made from the registry under $root into FOLDER.
regenerate() { # FOLDER
  local group
  group=$(broker_group)
  replace "$1/broker/mosquitto.conf" 640 "$group" mosquitto_conf
  replace "$1/broker/passwords" 640 "$group" passwords
  replace "$1/broker/acl" 640 "$group" acl
  replace "$1/broker/clients-ca.pem" 640 "$group" cat "$root/ca/ca.pem"
  replace "$1/wireguard/${settings[interface]}.conf" 600 root wireguard_quick
  replace "$1/wireguard/peers" 600 root wireguard_sync
  replace "$1/nftables.conf" 600 root nftables
}

# Writes all of them, and the revocation list, in place.
write_files() {
  replace "$root/broker/crl.pem" 640 "$(broker_group)" revoked_list "$root/ca"
  regenerate "$root"
}

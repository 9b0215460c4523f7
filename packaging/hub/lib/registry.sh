# shellcheck shell=bash
# The registry: one folder for each gateway, operator and technician, made and removed by one rename.
# All files of broker, tunnel and firewall are made from these folders.
#
#   gateways/SITE/ID   address behind wireguard-key preshared-key password certificate.pem until
#   operators/NAME     sites read-only signer password certificate.pem until
#   technicians/NAME   address sites wireguard-key preshared-key
#
# `password` is a line of mosquitto's password file, a salted hash. No private key is kept.

# Sets $address to the lowest free address whose third number is in FROM..TO.
free_address() { # FROM TO
  local file taken third fourth
  declare -A used=(["$pool.0.0"]=1 ["$pool.0.1"]=1) # the network, and the hub itself
  for file in "$root"/gateways/*/*/address "$root"/technicians/*/address; do
    read -r taken <"$file"
    used[$taken]=1
  done
  for ((third = $1; third <= $2; third++)); do
    for ((fourth = 1; fourth <= 254; fourth++)); do
      address=$pool.$third.$fourth
      [[ -n ${used[$address]:-} ]] || return 0
    done
  done
  fail "no free address is left in $pool.$1.0 to $pool.$2.254"
}

# Refuses a plant network that another gateway has already, or that overlaps one of OTHERs: nft would
# refuse the whole ruleset, and no removal would reach the firewall any more.
need_free_network() { # NETWORK OTHER...
  local first last file other
  set_range "$1" || misuse "\"$1\" is not an IPv4 network such as 192.168.10.0/24"
  first=$range_first last=$range_last
  set_range "${settings[network]}"
  ((last < range_first || first > range_last)) ||
    misuse "$1 lies within ${settings[network]}, the addresses of the tunnel"
  for other in "${@:2}"; do
    set_range "$other"
    ((last < range_first || first > range_last)) || misuse "$1 and $other overlap"
  done
  for file in "$root"/gateways/*/*/behind; do
    while read -r other; do
      set_range "$other"
      ((last < range_first || first > range_last)) || {
        other=${file#"$root"/gateways/}
        fail "$1 already belongs to ${other%/behind}: a network can belong to only one gateway"
      }
    done <"$file"
  done
}

# Makes a password for USER: in the clear in $password, as a line for mosquitto in FILE.
new_password() { # USER FILE
  password=$(openssl rand -base64 30 | tr '+/' '-_')
  (umask 077 && printf '%s:%s\n' "$1" "$password" >"$2")
  mosquitto_passwd -U "$2" || fail "mosquitto_passwd failed"
  [[ $(<"$2") == "$1":\$7\$* ]] || fail "mosquitto_passwd printed something unexpected"
}

new_entry() { # makes a folder, $entry, that is not part of the registry yet
  entry=$(mktemp -d "$work/entry.XXXXXX")
}

enter() { # FOLDER: $entry becomes FOLDER
  [[ ! -e $1 ]] || fail "${1#"$root"/} already exists"
  mkdir -p "${1%/*}"
  sync "$entry"/* "$entry"
  mv -T "$entry" "$1"
}

strike() { # FOLDER: removes it in one step and revokes its certificate
  [[ ! -f $1/certificate.pem ]] || revoke "$root/ca" "$1/certificate.pem"
  mv -T "$1" "$work/struck.$RANDOM$RANDOM"
  rmdir --ignore-fail-on-non-empty "${1%/*}" 2>/dev/null || true
}

issue_client() { # KIND NAME: a certificate into $entry, its key into $work/client.key
  rm -f "$work/client.key"
  issue "$root/ca" clientAuth "$2" "URI:urn:sallyport:$1:$2" "${settings[days]}" \
    "$work/client.key" "$entry/certificate.pem"
  end_of "$entry/certificate.pem" >"$entry/until"
}

# A WireGuard peer: PUBLIC, or a new key pair, whose private key is left in $private_key.
new_peer() { # PUBLIC-OR-NOTHING
  private_key=
  if [[ -z $1 ]]; then
    private_key=$(wg genkey)
    wg pubkey <<<"$private_key" >"$entry/wireguard-key"
  else
    is_wireguard_key "$1" || misuse "\"$1\" is not a WireGuard public key"
    grep -qxF -- "$1" "$root"/wireguard/public.key "$root"/gateways/*/*/wireguard-key \
      "$root"/technicians/*/wireguard-key && fail "this WireGuard key belongs to another peer"
    printf '%s\n' "$1" >"$entry/wireguard-key"
  fi
  (umask 077 && wg genpsk >"$entry/preshared-key")
}

need_sites() { # FILE SITE...: the sites, one a line
  local file=$1 site
  shift
  for site in "$@"; do need_name site "$site"; done
  printf '%s\n' "$@" | sort -u >"$file"
}

# shellcheck shell=bash
# What people take away from the hub: a gateway's enrolment, an operator's folder, a technician's
# WireGuard configuration. Secrets go into files of mode 0600, or to stdout on request.

servers() {
  printf '[ "mqtts://%s:8883", "mqtts://%s:443" ]' "${settings[name]}" "${settings[name]}"
}

# Writes a file with a private key: mode 0600 from the first byte, never overwriting a file. If the
# caller's shell has redirected stdout to a file, that file gets mode 0600 too.
hand_out() { # FILE or -
  if [[ $1 == - ]]; then
    [[ ! -f /dev/stdout ]] || chmod 600 /dev/stdout
    cat
  else
    (umask 077 && set -o noclobber && exec >"$1") 2>/dev/null ||
      fail "$1 exists already or cannot be made: delete it, or name another file with --out"
    cat >>"$1" || { rm -f "$1" && fail "$1 could not be written"; }
  fi
}

# The file that `sallyport init --from FILE` takes. Uses $entry, $password and $private_key.
enrolment() { # SITE ID
  local shared address hub_key authority certificate key signers id
  get shared "$entry" preshared-key
  get address "$entry" address
  get hub_key "$root/wireguard" public.key
  authority=$(<"$root/broker/ca.pem")
  certificate=$(<"$entry/certificate.pem")
  key=$(<"$work/client.key")
  signers=$(signers_of "$1")
  id=$1-$2-$(openssl rand -hex 8) # anyone who knows it could end the connection, so it cannot be guessed
  cat <<E
# The enrolment of $1/$2. It holds secrets: take it to the gateway with FILE.sig, run
#   sallyport init --from FILE
# there, compare whom it makes the gateway trust with the people who run the hub, and delete every copy.
enrolment = 1;
gateway: { id = "$2"; site = "$1"; };
uplink: {
  servers = $(servers);
  username = "$1/$2"; password = "$password"; prefix = "${settings[prefix]}";
  client_id = "$id";
  ca_pem = $(libconfig_text "$authority");
  certificate_pem = $(libconfig_text "$certificate");
  key_pem = $(libconfig_text "$key");
};
tunnel: {
  address = "$address";${private_key:+ private_key = \"$private_key\";}
  sources = [ "$pool.0.0/24" ];
  hub: {
    public_key = "$hub_key"; endpoint = "${settings[name]}:443";
    address = "$pool.0.1"; preshared_key = "$shared";
  };
};
allowed_signers = $(libconfig_text "${signers:+$signers$'\n'}");
revoked_keys = "";
E
}

# The folder of an operator, for ~/.config/sallyport on the technician's computer.
operator_folder() { # NAME FOLDER FILE.PUB-OR-NOTHING
  local key=${3##*/}
  mkdir -m 700 "$2" 2>/dev/null ||
    fail "$2 exists already or cannot be made: delete it, or name another folder with --out"
  hand_out "$2/operator.conf" <<E
# Copy this to ~/.config/sallyport/operator.conf, together with the files beside it.
servers = $(servers);
ca = "ca.pem";
certificate = "operator.pem";
key = "operator.key";
username = "$1";
password_file = "password";
prefix = "${settings[prefix]}";
${key:+ssh_key = \"~/.ssh/${key%.pub}\"; # the path of your private key}
E
  hand_out "$2/password" <<<"$password"
  hand_out "$2/ca.pem" <"$root/broker/ca.pem"
  hand_out "$2/operator.pem" <"$entry/certificate.pem"
  hand_out "$2/operator.key" <"$work/client.key"
}

technician_config() { # NAME -> for wg-quick on the technician's computer
  local shared address networks hub_key site
  get hub_key "$root/wireguard" public.key
  get shared "$entry" preshared-key
  get address "$entry" address
  networks=$(
    if [[ -f $entry/sites ]]; then
      while read -r site; do cat /dev/null "$root/gateways/$site"/*/behind; done <"$entry/sites"
    else
      cat /dev/null "$root"/gateways/*/*/behind
    fi | sed 's/^/, /' | tr -d '\n'
  )
  cat <<E
# $1 at the hub ${settings[name]}. Holds secrets.
[Interface]
Address = $address/32
PrivateKey = ${private_key:-(the private key that belongs to the public key you gave)}
MTU = 1360

[Peer]
PublicKey = $hub_key
PresharedKey = $shared
Endpoint = ${settings[name]}:443
AllowedIPs = ${settings[network]}$networks
PersistentKeepalive = 25
E
}

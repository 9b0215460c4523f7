# shellcheck shell=bash
# The private authority: EC P-256 keys, certificates for the server, gateways and operators, and the
# revocation list. Knows nothing of gateways; the callers check names.

ca_days=7300
crl_days=3650   # every change renews it; when it expires nobody can connect
server_days=825 # renewed without touching a gateway

new_key() { # FILE
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>"$work/openssl.log" ||
    fail "openssl could not make a key: $(tail -n 1 "$work/openssl.log")"
}

make_authority() { # FOLDER NAME
  mkdir -p "$1/revoked"
  chmod 700 "$1"
  new_key "$1/ca.key"
  openssl req -x509 -new -key "$1/ca.key" -sha256 -days "$ca_days" -out "$1/ca.pem" \
    -config <(printf '[req]\nprompt=no\ndistinguished_name=n\nx509_extensions=e\n[n]\nCN=%s\n' \
      "sallyport hub ${2:0:40}"
    printf '[e]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n'
    printf 'subjectKeyIdentifier=hash\n') 2>"$work/openssl.log" ||
    fail "openssl could not make an authority: $(tail -n 1 "$work/openssl.log")"
}

# The key that signs enrolments, so that a gateway can tell that the hub made one and nobody changed it.
make_enrolment_key() { # FOLDER
  mkdir -m 700 "$1"
  ssh-keygen -q -t ed25519 -N '' -C 'enrolments of sallyport-hub' -f "$1/key" ||
    fail "ssh-keygen could not make the key for enrolments"
}

enrolment_fingerprint() { # -> SHA256:...
  local print
  print=$(ssh-keygen -l -E sha256 -f "$root/enrolment/key.pub") || fail "$root/enrolment/key.pub cannot be read"
  read -r _ print _ <<<"$print"
  printf '%s\n' "$print"
}

sign_enrolment() { # FILE -> FILE.sig
  ssh-keygen -q -Y sign -n sallyport-enrolment -f "$root/enrolment/key" "$1" 2>"$work/ssh-keygen.log" ||
    fail "ssh-keygen could not sign the enrolment: $(tail -n 1 "$work/ssh-keygen.log")"
}

request() { # NAME KEY
  openssl req -new -key "$2" -sha256 \
    -config <(printf '[req]\nprompt=no\ndistinguished_name=n\n[n]\nCN=%s\n' "$1")
}

sign() { # AUTHORITY PURPOSE ALTERNATIVE DAYS: a request on stdin
  openssl x509 -req -sha256 -days "$4" -CA "$1/ca.pem" -CAkey "$1/ca.key" \
    -set_serial "0x1$(openssl rand -hex 15)" -extfile \
    <(printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
    printf 'extendedKeyUsage=%s\nsubjectAltName=%s\n' "$2" "$3"
    printf 'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n')
}

# Issues CERTIFICATE for KEY, and makes KEY if it does not exist. ALTERNATIVE: its names.
issue() { # AUTHORITY PURPOSE NAME ALTERNATIVE DAYS KEY CERTIFICATE
  [[ -f $6 ]] || new_key "$6"
  request "${3:0:64}" "$6" 2>"$work/openssl.log" |
    sign "$1" "$2" "$4" "$5" >"$7" 2>>"$work/openssl.log" ||
    fail "openssl could not issue a certificate: $(tail -n 1 "$work/openssl.log")"
}

# Puts CERTIFICATE on the revocation list; revoked_list writes the list itself.
revoke() { # AUTHORITY CERTIFICATE
  local serial
  serial=$(openssl x509 -in "$2" -noout -serial) || fail "$2 cannot be read, so it was not revoked"
  replace "$1/revoked/${serial#serial=}" 600 root date -u +%y%m%d%H%M%SZ
}

revoked_list() { # AUTHORITY -> the list, PEM
  local file date
  for file in "$1"/revoked/*; do
    read -r date <"$file"
    printf 'R\t491231235959Z\t%s\t%s\tunknown\t/CN=revoked\n' "$date" "${file##*/}"
  done >"$work/index.txt"
  printf '%X\n' "$(date +%s)" | sed -E 's/^(.(..)*)$/0\1/' >"$work/number" # an even count of digits
  printf '[ca]\ndefault_ca=h\n[h]\ndatabase=%s\ncrlnumber=%s\ndefault_md=sha256\n' \
    "$work/index.txt" "$work/number" >"$work/ca.conf"
  openssl ca -config "$work/ca.conf" -gencrl -crldays "$crl_days" -cert "$1/ca.pem" \
    -keyfile "$1/ca.key" 2>"$work/openssl.log" ||
    fail "openssl could not make the revocation list: $(tail -n 1 "$work/openssl.log")"
}

# When CERTIFICATE ends: 2031-05-04.
end_of() {
  local end
  end=$(openssl x509 -in "$1" -noout -enddate) || return 1
  date -u -d "${end#notAfter=}" +%F
}

# The broker's certificate: from our own authority, for the names in hub.conf.
issue_server() { # AUTHORITY KEY CERTIFICATE NAME[,ADDRESS...]
  local names=() name
  IFS=, read -ra names <<<"$4"
  local alternative=
  for name in "${names[@]}"; do
    if is_ipv4 "$name" || is_ipv6 "$name"; then name=IP:$name; else name=DNS:$name; fi
    alternative+=${alternative:+,}$name
  done
  issue "$1" serverAuth "${names[0]}" "$alternative" "$server_days" "$2" "$3"
}

# Checks a server certificate that another authority issued.
need_identity() { # CA CERTIFICATE KEY NAME
  local check=-verify_hostname
  is_ipv4 "$4" && check=-verify_ip
  openssl pkey -in "$3" -passin pass: -noout 2>"$work/openssl.log" ||
    fail "$3 is not a private key, or has a password"
  [[ $(openssl x509 -in "$2" -noout -pubkey 2>/dev/null) == \
  $(openssl pkey -in "$3" -pubout 2>/dev/null) ]] || fail "$2 is not the certificate of $3"
  openssl verify -CAfile "$1" -untrusted "$2" -purpose sslserver "$check" "$4" "$2" \
    >"$work/openssl.log" 2>&1 ||
    fail "$1 does not confirm $2 for $4: $(grep -m 1 error "$work/openssl.log")"
}

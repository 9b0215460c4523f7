# shellcheck shell=bash
# What every part of sallyport-hub uses: failing, checking arguments, writing files as a whole, text for
# libconfig and JSON. sallyport-hub sources it; sourcing changes nothing.

fail() {
  printf 'sallyport-hub: %s\n' "$*" >&2
  exit 1
}

misuse() {
  printf 'sallyport-hub: %s\n' "$*" >&2
  printf 'Try: sallyport-hub --help\n' >&2
  exit 2
}

say() { # to people; what programs read goes to stdout
  printf '%s\n' "$*" >&2
}

need_name() { # WHAT VALUE
  [[ $2 =~ ^[A-Za-z0-9_-]{1,64}$ && $2 != -* ]] ||
    misuse "$1 \"$2\": 1 to 64 of A-Z a-z 0-9 _ - are allowed, not beginning with -"
}

need_gateway() { # SITE/ID
  [[ $1 == */* ]] || misuse "\"$1\": a gateway is named SITE/ID"
  need_name site "${1%%/*}"
  need_name gateway "${1#*/}"
}

is_ipv4() {
  local octet
  [[ $1 =~ ^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$ ]] || return 1
  for octet in "${BASH_REMATCH[@]:1}"; do
    ((10#$octet <= 255)) && [[ $octet == $((10#$octet)) ]] || return 1
  done
}

is_ipv6() {
  [[ $1 == *:*:* && $1 =~ ^[0-9A-Fa-f:]{2,39}$ ]]
}

is_host_name() {
  [[ ${#1} -le 253 && $1 =~ ^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$ ]]
}

is_wireguard_key() {
  [[ $1 =~ ^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$ ]]
}

# The first and last address of ADDRESS or ADDRESS/BITS as numbers, into range_first and range_last.
set_range() { # IPV4[/BITS]
  local address=${1%%/*} bits=32 a b c d
  [[ $1 != */* ]] || bits=${1#*/}
  is_ipv4 "$address" && [[ $bits =~ ^[1-9][0-9]?$ ]] && ((bits >= 8 && bits <= 32)) || return 1
  IFS=. read -r a b c d <<<"$address"
  range_first=$(((a << 24) + (b << 16) + (c << 8) + d))
  range_last=$((range_first + (1 << (32 - bits)) - 1))
  ((range_first % (1 << (32 - bits)) == 0)) # else there are bits beyond the mask
}

# Writes what COMMAND prints to FILE, as a whole or not at all; an equal file stays untouched.
replace() { # FILE MODE GROUP COMMAND...
  local file=$1 mode=$2 group=$3 new
  new=$(mktemp "$work/new.XXXXXX") # the same file system: $work is below the root
  "${@:4}" >"$new"
  chmod "$mode" "$new"
  chgrp "$group" "$new"
  if cmp -s "$new" "$file" && [[ $(stat -c %a "$file") == "$mode" ]]; then
    return
  fi
  sync "$new"
  mv -f "$new" "$file"
}

# Reads the first line of FOLDER/FILE into the variable NAME; empty if there is no file.
get() { # NAME FOLDER FILE
  local line=
  [[ ! -f $2/$3 ]] || read -r line <"$2/$3" || true
  printf -v "$1" '%s' "$line"
}

libconfig_text() { # VALUE -> "VALUE", as libconfig reads it
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  printf '"%s"' "${text//$'\n'/\\n}"
}

json_list() { # WORDS of harmless characters -> ["a","b"]
  local separator='' word
  printf '['
  for word in "$@"; do
    printf '%s"%s"' "$separator" "$word"
    separator=,
  done
  printf ']'
}

# Makes a working folder, $work, which is removed however the program ends. If $halfway is not empty, it
# is printed at that time.
make_work() {
  halfway=
  work=$(mktemp -d "$root/.work.XXXXXX")
  trap 'rm -rf "$work"; [[ -z $halfway ]] || say "sallyport-hub: $halfway"' EXIT
}

# Takes the lock on a hub that is set up: one change at a time.
enter_root() {
  [[ -f $root/hub.conf ]] || fail "$root is not set up: run sallyport-hub init"
  (umask 077 && : >>"$root/.lock") # anyone who can read it could hold the lock and so prevent a removal
  exec {lock}>"$root/.lock"
  flock -w 30 "$lock" || fail "another sallyport-hub has been running for 30 s"
  read_settings
  rm -rf "$root"/.work.* # left by a killed program; we hold the lock, so nobody uses it
  make_work
}

# hub.conf: KEY=VALUE lines that init wrote; they are never executed.
read_settings() {
  local line
  declare -gA settings=()
  while IFS= read -r line; do
    [[ $line =~ ^([a-z_]+)=([][A-Za-z0-9.,:/_-]*)$ ]] ||
      fail "$root/hub.conf: this is not KEY=VALUE: $line"
    settings[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
  done < <(grep -vE '^(#.*)?$' "$root/hub.conf")
  for line in name prefix interface network days; do
    [[ -n ${settings[$line]:-} ]] || fail "$root/hub.conf: $line is missing"
  done
  pool=${settings[network]%.0.0/16} # the first two numbers of every address
}

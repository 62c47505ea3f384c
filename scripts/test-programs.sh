#!/usr/bin/env bash
# Install the programs that tests work with, where we may (root on Debian or Ubuntu); elsewhere say in one line what is
# missing: tests skip what they cannot do without, but openssl they must have.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
while read -r program package; do
    command -v "$program" >/dev/null || missing+=("$package")
done <<'PROGRAMS'
openssl openssl
age age
gnutls-cli gnutls-bin
mosquitto mosquitto
mosquitto_pub mosquitto-clients
chromium chromium
systemd-analyze systemd
PROGRAMS

[ ${#missing[@]} -eq 0 ] || scripts/apt-install.sh "${missing[@]}" || command -v openssl >/dev/null

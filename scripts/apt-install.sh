#!/usr/bin/env bash
# Install Debian packages where we may (root on Debian or Ubuntu); say in one line what to install where we may not.
# Usage: scripts/apt-install.sh PACKAGE...
set -euo pipefail

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "missing here: $* (as Debian and Ubuntu call it: sudo apt-get install $*)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing $*"
apt-get update -qq
apt-get install -qq -y --no-install-recommends "$@" >/dev/null

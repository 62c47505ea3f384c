#!/usr/bin/env bash
# Make a virtual environment that holds the pinned dependencies and this project (editable); do nothing if it is made.
# Usage: scripts/setup.sh [VENV [LOCK]]
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:-.venv}
lock=${2:-requirements.lock}
stamp=$venv/.made-from

# An empty HOME sends pip's cache to /.cache; without one it asks the user database.
[ -n "${HOME:-}" ] || unset HOME

# The place belongs to it: a virtual environment does not survive being moved.
wanted=$(pwd; sha256sum "$lock" pyproject.toml scripts/setup.sh)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi

# Debian and Ubuntu keep ensurepip, without which there is no venv, in a package of its own.
version=$(scripts/python.sh -c 'import sys; print("%d.%d" % sys.version_info[:2])')
scripts/python.sh -c 'import ensurepip, venv' 2>/dev/null || scripts/apt-install.sh "python$version-venv"

echo "setting up $venv from $lock (once)"
pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input)
scripts/python.sh -m venv --clear "$venv"
"${pip[@]}" install --require-hashes --requirement "$lock"
"${pip[@]}" install --no-deps --no-build-isolation --editable .
"${pip[@]}" check
printf '%s\n' "$wanted" >"$stamp"

#!/usr/bin/env bash
# Test with PyPI iso15118 (Josev), which pins cryptography 44.0.0 and pydantic 1: in an environment of its own, made once.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv-josev
lock=scripts/josev.txt

missing=()
while read -r program package; do
    command -v "$program" >/dev/null || missing+=("$package")
done <<'PROGRAMS'
java default-jre-headless
ip iproute2
openssl openssl
PROGRAMS
[ ${#missing[@]} -eq 0 ] || scripts/apt-install.sh "${missing[@]}" || true  # tests say what they cannot do without

wanted=$(pwd; sha256sum "$lock")
if [ "$(cat "$venv/.made-from" 2>/dev/null)" != "$wanted" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "setting up $venv from $lock (once)"
    scripts/python.sh -m venv --clear "$venv"
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input install --requirement "$lock"
    printf '%s\n' "$wanted" >"$venv/.made-from"
fi

# What Python or cryptography warn of is what it does itself.
PYTHONPATH=$PWD/src:$PWD exec "$venv/bin/python" -m pytest -W ignore -p no:cacheprovider \
    tests/adapters/iso15118/with_josev.py "$@"

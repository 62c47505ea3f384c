#!/usr/bin/env bash
# Write requirements.lock (newest) and requirements-lowest.lock (the lowest versions we declare): every package with its
# hashes, for every platform, and no host named. What is pinned already stays, unless `--upgrade` is given.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv-lock
scripts/python.sh -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.9"

compile() {
    "$venv/bin/uv" pip compile --quiet --universal --no-strip-extras --generate-hashes --no-header pyproject.toml "$@"
}

compile --group dev --group docs --output-file requirements.lock "${@}"

lowest=$(mktemp)
trap 'rm -f "$lowest"' EXIT
printf '%s\n' 'cryptography==44.0.0' 'pyOpenSSL==25.0.0' 'aiomqtt==2.3.0' 'jinja2==3.1.0' 'prometheus-client==0.20.0' \
    'python-multipart==0.0.20' 'starlette==0.46.0' 'uvicorn==0.34.0' 'ocpp==2.1.0' 'websockets==13.0' >"$lowest"
compile --group build --group test --no-annotate --constraints "$lowest" --output-file requirements-lowest.lock "${@}"

if grep -nE 'https?:|index-url|find-links' requirements.lock requirements-lowest.lock; then
    echo "lock: the lines above name a host or an index; a lock must not" >&2
    exit 1
fi

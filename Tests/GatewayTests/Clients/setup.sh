#!/usr/bin/env bash
# Installs the foreign clients that the gateway is tested with, Yjs from Debian, the others from PyPI, and
# what Peers/leaf-python needs.
#   setup.sh [DIRECTORY]    the directory of the virtual environment, default .build/gateway-clients
# Skips what is there, asks for root only to install, and says what it does.
set -euo pipefail

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=${1:-$root/.build/gateway-clients}

debian=(node-y-websocket node-yjs node-y-protocols node-ws chromium)
# Names as pip knows them; `httpx` also comes with `realtime`, but is used by itself.
python=(pycrdt websockets phxsocket realtime httpx schemathesis playwright pynacl)
# Phoenix's own JavaScript client is in the script for browsers that pyview-web ships; nothing else of
# that package is used, nor of what it depends on. Another version may ship another script.
pyview=pyview-web==0.9.0

# --- Debian packages

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "not root and no sudo here. Run this as root, then try again: $*"
  fi
}

install_debian() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >/dev/null
}

command -v apt-get >/dev/null ||
  die "no apt-get here: the Yjs packages (${debian[*]}) are taken from Debian 12 or later."

missing=()
for package in "${debian[@]}"; do is_installed "$package" || missing+=("$package"); done
command -v node >/dev/null || missing+=(nodejs)
command -v python3 >/dev/null || missing+=(python3)
command -v curl >/dev/null || missing+=(curl)
# A Python without ensurepip cannot make a virtual environment; Debian has it in a package of its own.
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

if [ ${#missing[@]} -eq 0 ]; then
  say "Debian packages are there (${debian[*]})"
else
  say "installing ${missing[*]} with apt-get"
  # Package lists that are missing or old make the first try fail: fetch them, then try again.
  if ! install_debian "${missing[@]}" 2>/dev/null; then
    as_root apt-get update -qq || die "apt-get update failed: is there a network?"
    install_debian "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
  fi
fi

NODE_PATH=/usr/share/nodejs node -e 'require("y-websocket"); require("ws"); require("y-protocols/dist/awareness.cjs")' ||
  die "the Yjs packages are installed, but node $(node --version) cannot load them from /usr/share/nodejs."

# --- Python packages

if [ ! -x "$venv/bin/python" ]; then
  say "making the virtual environment $venv"
  python3 -m venv "$venv" || die "python3 -m venv $venv failed."
fi

missing=()
for package in "${python[@]}"; do
  "$venv/bin/python" -c "import importlib.metadata as m; m.version('$package')" 2>/dev/null ||
    missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
  say "Python packages are there (${python[*]})"
else
  say "installing ${missing[*]} with pip"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${missing[@]}" ||
    die "pip could not install: ${missing[*]}"
fi

if "$venv/bin/python" -c "import importlib.metadata as m; assert m.version('${pyview%==*}') == '${pyview#*==}'" \
  2>/dev/null; then
  say "$pyview is there"
else
  say "installing $pyview with pip, without what it depends on"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$pyview" ||
    die "pip could not install: $pyview"
fi

"$venv/bin/python" -c 'import pycrdt, websockets, phxsocket, realtime, httpx, schemathesis' ||
  die "the Python packages are installed, but cannot be imported. Remove $venv and try again."
say "ready: $venv/bin/python, node $(node --version)"

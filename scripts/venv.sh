#!/bin/sh
# Makes or refreshes .venv from a lock file, with hashes, and installs this checkout into it (editable, no network).
# Usage: scripts/venv.sh runtime|dev. A stamp of what was installed makes the second call a matter of milliseconds.
set -eu

kind=${1:-runtime}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
case $kind in
    runtime) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "venv.sh: unknown kind '$kind'; use runtime or dev" >&2; exit 2 ;;
esac
venv=$root/.venv
stamp=$venv/dionysus-stamp
log=$venv/install.log

say() { printf '%s\n' "$*"; }
fail() { printf '\nDionysus: %s\n' "$*" >&2; exit 1; }

# python3 first, so that a pyenv or conda user gets what they chose.
find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

fingerprint() {  # of a lock, together with what else decides how the installation looks
    "$python" - "$1" "$root" <<'PY'
import hashlib, pathlib, sys
digest = hashlib.sha256(f"{sys.version_info[:2]} {sys.argv[2]}".encode())
for name in (sys.argv[1], "pyproject.toml"):
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PY
}

up_to_date() {
    [ -x "$venv/bin/python" ] && [ -f "$stamp" ] || return 1
    installed=$(cat "$stamp")
    # The dev lock holds every package of the runtime lock in the same version, so it serves for both.
    [ "$installed" = "dev $(fingerprint requirements-dev.lock)" ] && return 0
    [ "$installed" = "$kind $(fingerprint "$lock")" ]
}

# Without network, the answer should not take minutes.
export PIP_RETRIES="${PIP_RETRIES:-2}" PIP_DISABLE_PIP_VERSION_CHECK=1

quietly() { "$@" >>"$log" 2>&1; }

has_pip() { quietly "$venv/bin/python" -m pip --version || quietly "$venv/bin/python" -m ensurepip --default-pip; }

# A pip outside can fill an environment that has none (pip 22.3 and later).
has_outside_pip() { quietly "$python" -m pip --python "$venv/bin/python" --version; }

add_ensurepip() {  # Debian and Ubuntu keep it in a package of its own
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    say "  this Python lacks ensurepip: apt-get install python$version-venv (we are root)"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update || true
    quietly apt-get install -y --no-install-recommends "python$version-venv"
}

find_uv() {  # prints a uv that runs
    for candidate in uv "$venv/bin/uv"; do
        if "$candidate" --version >/dev/null 2>&1; then echo "$candidate"; return; fi
    done
}

install_with_uv() {
    [ -n "${PIP_INDEX_URL:-}" ] && export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
    quietly "$1" pip install --python "$venv/bin/python" --no-config --require-hashes --no-deps -r "$lock" &&
        quietly "$1" pip install --python "$venv/bin/python" --no-config --offline --no-deps --no-build-isolation -e .
}

install_with_pip() {
    quietly "$@" install --require-hashes --no-deps -r "$lock" &&
        quietly "$@" install --no-index --no-deps --no-build-isolation -e .
}

install_lock() {
    uv=$(find_uv)
    if [ -n "$uv" ] && install_with_uv "$uv"; then return 0; fi
    if has_pip; then
        set -- "$venv/bin/python" -m pip
    elif has_outside_pip; then
        set -- "$python" -m pip --python "$venv/bin/python"
    elif add_ensurepip && has_pip; then
        set -- "$venv/bin/python" -m pip
    else
        fail "this Python has neither ensurepip nor pip, so nothing can be installed into .venv.
  Debian, Ubuntu or WSL2:  sudo apt install python$version-venv
  or have uv in PATH; then run the same command again."
    fi
    # uv installs the lock several times faster than pip does; where it doesn't run, pip does it all.
    if quietly "$@" install --require-hashes --no-deps -r scripts/uv.lock && install_with_uv "$venv/bin/uv"; then
        return 0
    fi
    install_with_pip "$@"
}

python=$(find_python)
[ -n "$python" ] || fail "needs Python 3.11 or newer, found $(python3 --version 2>/dev/null || echo 'no python3').
  Debian 12, Ubuntu 24.04 and later: sudo apt install python3 python3-venv;  macOS: brew install python@3.13
  A Python in another place: make PYTHON=/path/to/python3.12 ..."
[ -w "$root" ] || fail "the checkout $root can't be written to, and .venv and .demo live in it.
  Clone it to a folder of your own, or make this one writable."
up_to_date && exit 0

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$(uname -sm)" = "Darwin x86_64" ]; then
    fail "macOS on Intel isn't served: onnxruntime and cryptography no longer ship wheels for it.
  Use a Mac with Apple silicon (macOS 14 or later), Linux, or a Linux virtual machine."
fi
started=$(date +%s)
say "Installing Dionysus into .venv (Python $version, $(grep -c '==' "$lock") locked packages, hashes checked) ..."
if [ -e "$venv" ] && ! "$venv/bin/python" -c '' 2>/dev/null; then
    say "  .venv has no Python that runs: making it anew"
    rm -rf "$venv"
fi
if [ ! -x "$venv/bin/python" ]; then
    "$python" -m venv --without-pip "$venv" ||
        fail "python -m venv failed (see above). Debian, Ubuntu or WSL2: sudo apt install python$version-venv"
fi
: >"$log"
rm -f "$stamp"
install_lock || {
    tail -n 5 "$log" >&2
    fail "could not install $lock (the last lines are above, all of them in .venv/install.log).
  No network? A proxy: set HTTPS_PROXY. A mirror: set PIP_INDEX_URL. Then run the same command again."
}
echo "$kind $(fingerprint "$lock")" >"$stamp"
say "  installed in $(($(date +%s) - started)) s"

# shellcheck shell=bash
# What the scripts share. Sourced, not run: it makes the checkout the working directory and defines functions.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit
# shellcheck disable=SC2034 # used by the scripts that source this
built=${CARGO_TARGET_DIR:-$root/target}/x86_64-unknown-linux-gnu
# shellcheck disable=SC2034
release=$built/release
# The programs of a login shell of root: mke2fs, losetup and friends live in sbin.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

# say TEXT: a line for people.
say() {
  printf '%s\n' "$*" >&2
}

# step TEXT: a heading for people.
step() {
  printf '\n== %s\n' "$*" >&2
}

# die TEXT [HINT]: end with exit code 1.
die() {
  say "error: $1"
  [[ $# -lt 2 ]] || say "hint: $2"
  exit 1
}

# need_root WHAT: end unless we are root.
need_root() {
  [[ $EUID -eq 0 ]] || die "$1 needs root" "run it as root, or with sudo"
}

# use_cargo: put a cargo that is new enough first in PATH; false where there is none.
use_cargo() {
  local wanted candidate version
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  for candidate in "$(command -v cargo || true)" "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" /usr/bin/cargo; do
    [[ -x $candidate ]] || continue
    # A rustup without the toolchain that rust-toolchain.toml names fetches it here, or fails.
    version=$("$candidate" --version 2>/dev/null | cut -d ' ' -f 2) || continue
    [[ $(printf '%s\n' "$wanted" "$version" | sort -V | head -n 1) == "$wanted" ]] || continue
    PATH=$(dirname "$candidate"):$PATH
    return 0
  done
  return 1
}

# apt_install PACKAGE...: install from Debian without questions, waiting for another apt to finish.
apt_install() {
  need_root "installing $*"
  command -v apt-get >/dev/null || die "this system has no apt-get" "install by hand: $*"
  step "installing $*"
  local options=(-o DPkg::Lock::Timeout=300 -q -y)
  DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" update >&2
  DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install --no-install-recommends "$@" >&2
}

# install_missing [FILE PACKAGE]...: install each package whose file is not there.
install_missing() {
  local missing=()
  while [[ $# -gt 0 ]]; do
    [[ -e $1 ]] || missing+=("$2")
    shift 2
  done
  [[ ${#missing[@]} -eq 0 ]] || apt_install "${missing[@]}"
}

# What the test scripts share; to be sourced, after `root` is set to the top of the repository.
#
# Owns where tools are kept and how they are had. A tool that cannot be had is a failure, never a
# skipped test. It must not know what is tested.
# shellcheck shell=bash

target=${CARGO_TARGET_DIR:-$root/target}
# The program under test; DIFFIDENCE names another one.
server=${DIFFIDENCE:-$target/debug/diffidence}

install_package() { # install_package DEBIAN-PACKAGE
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1" >/dev/null
  fi
}

need() { # need COMMAND DEBIAN-PACKAGE
  command -v "$1" >/dev/null && return
  install_package "$2"
  command -v "$1" >/dev/null || { echo "tests: '$1' is needed: install the package '$2'" >&2; exit 1; }
}

# The program, and a model that is instant and predictable, for what happens around it.
#
# Both are named in one command, so that Cargo builds them as it does for `cargo test`.
make_program_and_tiny_bundle() { # make_program_and_tiny_bundle TOOLS-FOLDER
  if [ -n "${DIFFIDENCE:-}" ] && [ -e "$1/tiny-bundle/bundle.json" ]; then
    return
  fi
  cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --bin diffidence --example tiny_bundle
  "$target/debug/examples/tiny_bundle" "$1/tiny-bundle"
}

make_python() { # make_python TOOLS-FOLDER
  need python3 python3
  if [ ! -x "$1/python/bin/python" ]; then
    python3 -m venv "$1/python" 2>/dev/null || {
      need pip3 python3-pip
      install_package python3-venv || true
      python3 -m venv "$1/python"
    }
  fi
  "$1/python/bin/pip" install --quiet --disable-pip-version-check -r "$root/tests/requirements.txt"
}

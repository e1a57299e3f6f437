#!/bin/sh
# Build bin/hello, a static binary: the sandbox needs nothing of the host to run it.
set -eu
cd "$(dirname "$0")"
mkdir -p bin
rustc --edition 2021 -O -C target-feature=+crt-static -C strip=symbols src/main.rs -o bin/hello

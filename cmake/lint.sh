#!/bin/sh
# lint.sh BUILD_DIR: every check that reads the source: clang-format, clang-tidy, luacheck and
# the shell linter too. Says which tool is missing; fails on the first that has something to say.
set -eu
build=$1
for tool in clang-format clang-tidy luacheck shellcheck; do
    command -v "$tool" >/dev/null || { echo "lint: $tool is not installed" >&2; exit 1; }
done
clang-format --dry-run -Werror host/*.c host/*.h bench/*.c bench/peers/*.c
clang-tidy --quiet -p "$build" host/*.c
luacheck --quiet lua scripts spec bench
shellcheck lagoon.sh .ci/run cmake/lint.sh bench/run.sh
echo "lint: clean"

#!/bin/sh
# lagoon.sh: from a bare Debian 12 to a running server, or to the result of all specs.
#
# Installs the packages that are missing (as root, by apt-get), builds build/release/lagoon if
# its sources have changed, and runs it. What is done already is skipped.
set -eu

usage()
{
    cat <<'END'
usage: ./lagoon.sh [chat [address]]      the chat server, scripts/chat.lua (127.0.0.1:7000)
       ./lagoon.sh test [busted options] all specs, or those that are named
       ./lagoon.sh build                 only build/release/lagoon
       ./lagoon.sh --help                print this

Each installs what it needs first. Without root it says what is missing.
END
}

say()
{
    echo "lagoon.sh: $*" >&2
}

have()
{
    command -v "$1" >/dev/null 2>&1
}

# Whether a library can be linked with; without pkg-config, whether Debian's package is there.
have_library()
{
    if have pkg-config; then
        pkg-config --exists "$1"
    else
        dpkg-query -W -f '${db:Status-Status}' "$2" 2>/dev/null | grep -qx installed
    fi
}

can_compile()
{
    echo '#include <stdio.h>' | cc -E -o /dev/null -x c - 2>/dev/null
}

# The packages to install, for what this system lacks, each on a line.
missing_packages()
{
    have cc || echo gcc
    can_compile || [ -e /usr/include/stdio.h ] || echo libc6-dev
    have cmake || echo cmake
    have make || echo make
    have pkg-config || echo pkg-config
    have_library luajit libluajit-5.1-dev || echo libluajit-5.1-dev
    have_library libuv libuv1-dev || echo libuv1-dev
    have_library libedit libedit-dev || echo libedit-dev
    [ "$1" = test ] || return 0
    have busted || echo lua-busted
    # A C module, to see that scripts can use them.
    ls /usr/lib/*/lua/5.1/cjson.so >/dev/null 2>&1 || echo lua-cjson
}

install_packages()
{
    missing=$(missing_packages "$1" | tr '\n' ' ')
    missing=${missing% }
    [ -n "$missing" ] || return 0
    if ! have apt-get; then
        say "missing, by their names in Debian: $missing"
        exit 1
    elif [ "$(id -u)" != 0 ]; then
        say "packages are missing; as root: apt-get install -y --no-install-recommends $missing"
        exit 1
    fi
    say "installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q </dev/null >&2 || say "apt-get update failed; going on with what is known"
    # shellcheck disable=SC2086 # a word for each package
    apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 $missing \
        </dev/null >&2
}

build()
{
    # A cache that was made elsewhere, because the tree was copied, is of no use.
    if ! grep -qsxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" build/release/CMakeCache.txt; then
        cmake --fresh --preset release </dev/null >&2
    fi
    cmake --build build/release --parallel "$(nproc)" </dev/null >&2
}

command=${1:-chat}
[ $# = 0 ] || shift
case $command in
    chat | test | build) ;;
    -h | --help | help)
        usage
        exit 0
        ;;
    *)
        say "unknown command '$command' (try ./lagoon.sh --help)"
        exit 2
        ;;
esac

CDPATH='' cd -P -- "$(dirname -- "$0")"
install_packages "$command"
build
case $command in
    chat)
        if ! have nc; then
            say "without nc: bash -c 'exec 3<>/dev/tcp/127.0.0.1/7000; cat <&3 & cat >&3'"
        fi
        exec build/release/lagoon scripts/chat.lua "$@"
        ;;
    test)
        exec build/release/lagoon test "$@"
        ;;
esac

# shellcheck shell=sh
# What the other scripts share: getting from a fresh clone to a .venv in which the project runs.
# Read with `.`, from the project's root; not a command of its own.
#
#   need_base             compiler, Python >= 3.11, PortAudio, and ALSA's plugins, from apt or Homebrew
#   make_venv             .venv, made anew if it is broken or was moved; it belongs to these scripts
#   need_apt PACKAGE...   further packages where there is apt; says what is missing elsewhere
#   need_test_packages    what the tests take beside Python's packages
#   install_build_tools   what the build itself takes, in .venv rather than anew for each build
#   install_project       the project, editable, with its command line
#   install_group NAME    a dependency group of pyproject.toml
#
# Each does nothing when there is nothing to do: .venv/stamps holds what was installed from what.

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() {
    printf '==> %s\n' "$*" >&2
}

die() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# Runs a command; its output is shown only if it fails.
quietly() {
    quiet_log=$(mktemp) || return 1
    quiet_status=0
    "$@" </dev/null >"$quiet_log" 2>&1 || quiet_status=$?
    [ "$quiet_status" -eq 0 ] || cat "$quiet_log" >&2
    rm -f "$quiet_log"
    return "$quiet_status"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# --- Packages of the system ---------------------------------------------------------------------

package_manager() {
    if [ "$(uname -s)" = Darwin ]; then
        if have brew; then echo brew; fi
    elif have apt-get && have dpkg-query; then
        echo apt
    fi
}

missing_debs() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            missing="$missing $package"
    done
    echo "${missing# }"
}

# Never removes a package: on a desktop, PulseAudio would replace the PipeWire that plays its sound.
apt_install() {
    missing=$(missing_debs "$@")
    [ -n "$missing" ] || return 0

    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! have sudo; then
            say "neither root nor sudo: have an administrator run: apt-get install $missing"
            return 1
        fi
        as_root=sudo
    fi
    if [ -z "${apt_updated-}" ]; then
        say "apt-get update"
        quietly $as_root apt-get update || say "apt-get update failed; going on with the lists there are"
        apt_updated=yes
    fi
    say "apt-get install $missing"
    # shellcheck disable=SC2086 # a list of words
    quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes \
        --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 $missing
}

brew_install() {
    missing=
    for package in "$@"; do
        brew list --formula --versions "$package" >/dev/null 2>&1 || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "brew install$missing"
    # shellcheck disable=SC2086 # a list of words
    quietly brew install $missing
}

# For what most can go on without: returns 1 after saying what is missing. It is tried once; the
# stamp remembers. On CI it is an error, as a test skipped for want of a server would look passed.
need_apt() {
    if [ "$(package_manager)" != apt ]; then
        say "no apt here: not installed: $*"
        return 1
    fi
    without=$(missing_debs "$@")
    if [ -z "$without" ]; then
        return 0
    elif [ -z "${CI-}" ] && stamped "without-$1" "$without"; then
        say "going on without $without (to try again, delete .venv/stamps/without-$1)"
        return 1
    elif ! apt_install "$@"; then
        [ -z "${CI-}" ] || die "could not install $without"
        say "could not install $without; going on without"
        stamp "without-$1" "$without"
        return 1
    fi
}

# What the tests start, compile with or compare with.
need_test_packages() {
    need_apt jackd2 libjack-jackd2-dev sox e2fsprogs || :
    have jack_connect || need_apt jack-example-tools || : # in older Debians it is part of jackd2
    need_apt g++ valgrind strace || :
    need_apt portaudio19-dev || : # its header, beside which csrc/portaudio_abi.h is held
    need_apt pulseaudio pulseaudio-utils pulseaudio-module-jack || :
    need_apt libpulse-dev || : # its headers, beside which csrc/pulse_abi.h is held
    need_apt pipewire wireplumber pipewire-pulse libspa-0.2-modules dbus-daemon || :
    need_apt ffmpeg || : # to which a sink writes
    need_apt nats-server || : # which sinks feed
    need_apt iptables openssl || : # half-open connections, and certificates
    need_apt chromium fonts-dejavu-core || : # opens the pages
    need_apt flite || : # speaks to the recognisers of the examples
}

need_base() {
    case $(package_manager) in
    apt)
        # The sanitizers' runtimes are dependencies of gcc.
        set -- gcc libc6-dev libportaudio2 libasound2-plugins
        if python=$(find_python); then
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            "$python" -c 'import ensurepip' 2>/dev/null || set -- "$@" "python$version-venv"
            has_headers "$python" || set -- "$@" "python$version-dev"
        else
            set -- "$@" python3 python3-venv python3-dev
        fi
        apt_install "$@" || die "cannot go on without these packages"
        ;;
    brew)
        xcode-select -p >/dev/null 2>&1 || die "no compiler: run xcode-select --install, then this again"
        set -- portaudio
        find_python >/dev/null || set -- "$@" python
        brew_install "$@" || die "cannot go on without these packages"
        ;;
    *)
        if ! find_python >/dev/null || ! have cc; then
            say "neither apt nor Homebrew here: a C compiler, Python >= 3.11 with its headers," \
                "and PortAudio's library were not installed; going on"
        fi
        ;;
    esac
}

# --- Python -------------------------------------------------------------------------------------

# It is run, not just looked for: a version manager's stand-ins exist for versions it has not.
is_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

has_headers() {
    "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

find_python() {
    for candidate in .venv/bin/python ${STREAM_AUDIO_PYTHON-} \
        python3 python3.14 python3.13 python3.12 python3.11; do
        if is_python "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

stamped() {
    [ "$(cat ".venv/stamps/$1" 2>/dev/null)" = "$2" ]
}

stamp() {
    printf '%s\n' "$2" >".venv/stamps/$1"
}

venv_pip() {
    .venv/bin/python -m pip "$@"
}

make_venv() {
    if ! stamped venv "$PWD" || ! is_python .venv/bin/python; then
        rm -rf .venv
        python=$(find_python) ||
            die "Python 3.11 or later is needed; python3 here is $(python3 --version 2>&1 || :)." \
                "Debian 12 and Ubuntu 24.04 have it; on Ubuntu 22.04, as root, run:" \
                "apt-get install python3.11-venv python3.11-dev"
        say "making .venv with $("$python" --version)"
        quietly "$python" -m venv .venv || die "could not make .venv"
        # The first pip that knows dependency groups.
        quietly venv_pip install --upgrade 'pip>=25.1' || die "could not upgrade pip"
        mkdir .venv/stamps
        stamp venv "$PWD"
    fi
    PATH="$PWD/.venv/bin:$PATH" # cmake, ninja, and the tools of the groups
    export PATH
}

# In .venv, so that a second build finds the tools of the first and compiles only what changed.
install_build_tools() {
    wanted=$(cksum pyproject.toml)
    if ! stamped build-tools "$wanted"; then
        {
            .venv/bin/python -c 'import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")'
            printf 'cmake\nninja\n'
        } >.venv/build-requirements.txt
        quietly venv_pip install -r .venv/build-requirements.txt || die "could not install the build tools"
        stamp build-tools "$wanted"
    fi
}

install_project() {
    built_from=$(
        find pyproject.toml CMakeLists.txt csrc vendor -type f -exec cksum {} + | sort
        find src -name '*.py' | sort # an editable install remembers which modules there are
    )
    if ! stamped project "$built_from"; then
        say "building the project into .venv"
        install_build_tools
        quietly venv_pip install --no-build-isolation --editable '.[cli]' || die "could not build the project"
        stamp project "$built_from"
    fi
}

install_group() {
    wanted=$(cksum pyproject.toml)
    if ! stamped "group-$1" "$wanted"; then
        say "installing the dependency group '$1' into .venv"
        quietly venv_pip install --group "$1" || die "could not install the dependency group '$1'"
        stamp "group-$1" "$wanted"
    fi
}

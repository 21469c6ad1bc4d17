# shellcheck shell=sh disable=SC2154
# Roots of Debian that know nothing of this machine: made by debootstrap, entered by chroot.
# Read with `.`, by scripts/newcomer and scripts/test-python; they set root and checkout, and have
# `say` and `die`.
#
#   can_make_roots              whether this is root, with debootstrap and unshare
#   codename                    of this machine's own release
#   make_root RELEASE [OPTION]  into $root, with how this machine reaches its packages
#   in_root COMMAND...          in $checkout there
#   as_stranger RUNNER HOME ... with nothing of this machine's environment; RUNNER is in_root, say
#
# ROOT_MIRROR is where debootstrap gets its packages; without it, as /etc/apt says.

can_make_roots() {
    [ "$(id -u)" -eq 0 ] && command -v debootstrap >/dev/null && command -v unshare >/dev/null
}

codename() (
    # shellcheck source=/dev/null
    . /etc/os-release
    printf '%s\n' "${VERSION_CODENAME-}"
)

# Prints where this machine has its packages from; of Debian, where Debian's roots have theirs.
mirror() (
    # shellcheck source=/dev/null
    . /etc/os-release
    if [ -n "${ROOT_MIRROR-}" ]; then
        printf '%s\n' "$ROOT_MIRROR"
    elif [ "$1" = "${VERSION_CODENAME-}" ] || [ "$ID" = debian ]; then
        # shellcheck disable=SC2016 # apt fills these in
        apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' |
            sed -n "s/^${VERSION_CODENAME-} //p" | head -n 1
    else
        printf 'http://deb.debian.org/debian\n'
    fi
)

# Copies a file or folder of this machine to the same path below the root, if there is one.
carry_over() {
    for path in "$@"; do
        [ -e "$path" ] || continue
        mkdir -p "$root$(dirname -- "$path")"
        cp -RL -- "$path" "$root$(dirname -- "$path")/"
    done
}

make_root() {
    release=$1
    shift
    say "debootstrap $release"
    script=/usr/share/debootstrap/scripts/$release
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid # newer than this machine
    log=$(mktemp)
    unshare --mount --propagation private debootstrap --variant=minbase "$@" \
        "$release" "$root" "$(mirror "$release")" "$script" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "debootstrap failed"
    }
    rm -f "$log"
    carry_over /etc/resolv.conf /etc/apt/apt.conf.d /etc/pip.conf \
        /etc/ssl/certs/ca-certificates.crt
    # A variable may name a file, a bundle of certificates say. It gets a place that no package
    # writes to.
    for variable in $(passed_on); do
        value=$(printenv "$variable")
        if names_a_file "$value"; then
            mkdir -p "$root/opt/$variable"
            cp -RL -- "$value" "$root/opt/$variable/"
        fi
    done
}

# Runs "$@" in the checkout, in the root, in namespaces of its own for mounts and processes: what
# a test starts and forgets ends with it, and its shared memory is not this machine's.
in_root() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private --pid --fork --kill-child sh -c '
        root=$1 checkout=$2
        shift 2
        # On itself: a root that is no place of a mount allows no namespace of mounts within.
        mount --bind "$root" "$root" &&
            mount -t proc proc "$root/proc" &&
            mkdir -p "$root/dev/shm" "$root/dev/pts" &&
            mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" &&
            mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" &&
            mount -t tmpfs -o mode=755 tmpfs "$root/run" || exit 2
        exec chroot "$root" /bin/sh -c '\''cd "$0" && exec "$@"'\'' "$checkout" "$@"
    ' sh "$root" "$checkout" "$@"
}

names_a_file() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) false ;;
    esac
}

# The variables that say how packages are reached.
passed_on() {
    env | sed -n -E 's/^((PIP_[A-Z_]+|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE))=.*/\1/p'
}

as_stranger() {
    runner=$1
    home=$2
    shift 2
    for variable in $(passed_on); do
        value=$(printenv "$variable")
        if [ "$runner" = in_root ] && names_a_file "$value"; then
            value=/opt/$variable/$(basename -- "$value")
        fi
        set -- "$variable=$value" "$@"
    done
    "$runner" env -i HOME="$home" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" </dev/null
}

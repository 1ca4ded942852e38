#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds what the static executable is linked from, with musl, out of what fetch.sh brought:
# OUT/{libpython.a,libseccomp.a,python/,lib/,include/,cc}.
#     libraries.sh SOURCES [TRAINING] OUT
# With TRAINING, a directory as lives.py wants it with cffi's C in `generated`, CPython is compiled
# twice: the second time by what the compiler has seen of a dozen lives (PGO). That is an eighth of
# what `create` costs, and doubles the time of the build.
set -eu
sources=$(cd "$1" && pwd)
training=""
[ $# = 2 ] || { training=$(cd "$2" && pwd) && shift; }
mkdir -p "$2"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
jobs=$(nproc)
machine=$(gcc -print-multiarch)

# The compiler, for all steps. musl-gcc looks at musl's headers only; the kernel's lie with the
# system's. configure asks for the triplet and would hear the system's libc.
cat >"$out/cc" <<CC
#!/bin/sh
[ "\$1" != --print-multiarch ] || { echo "$(uname -m)-linux-musl"; exit 0; }
exec musl-gcc -static -no-pie -fno-pie -idirafter /usr/include -idirafter "/usr/include/$machine" "\$@"
CC
chmod +x "$out/cc"
# No tables for unwinding: libgcc walks all of them at the start of a static program. Canaries,
# because it runs as root on data of others, as Debian's own Python has them.
flags="-O2 -g0 -fstack-protector-strong -fno-asynchronous-unwind-tables -fno-unwind-tables -ffile-prefix-map=$out=."

# With Debian's patches: its security updates are among them.
work=$out/work
mkdir -p "$work"
for package in python3 libseccomp; do
    dpkg-source --no-check -x "$sources/$package"*.dsc "$work/$package" >"$work/$package.log"
done

# What CPython writes into its own code and tables while it runs, a command writes to pages that all
# commands share, and the kernel copies each. So in the image (csrc/image) it does not:
python=$work/python3
changed() { # FILE PATTERN, then sed's command
    grep -q "$2" "$python/$1" || {
        echo "libraries: CPython has no \"$2\" in $1 any more; look at what has become of it" >&2
        exit 1
    }
    sed -i "$3" "$python/$1"
}
# - how often each branch was taken, for a JIT that is not built;
cases=Python/generated_cases.c.h
changed $cases 'cache = (this_instr\[1\].cache << 1)' '/this_instr\[1\]\.cache = (this_instr\[1\]\.cache << 1)/d'
# - how often each instruction was executed, until it is specialised (PEP 659): the lives before the
#   image was written have seen to that, and a command ends before it would pay;
macros=Python/ceval_macros.h
changed $macros ' backoff_counter_triggers(forge' 's/ backoff_counter_triggers(forge.*/ (!image_live \&\&&)/'
changed $macros '(COUNTER) = advance_backoff' 's/(COUNTER) = advance_backoff/if (!image_live) &/'
changed $cases 'if (this_instr->op.code == RESUME) {' 's/if (this_instr->op.code == RESUME) {/if (!image_live \&\& this_instr->op.code == RESUME) {/'
# - which type an attribute was found in.
changed Objects/typeobject.c '^    if (has_version) {$' 's/^    if (has_version) {$/    if (has_version \&\& !image_live) {/'
# Weak: the programs that build CPython know nothing of csrc/image.
for file in "$macros" Objects/typeobject.c; do
    sed -i '1i __attribute__((weak)) _Bool image_live;' "$python/$file"
done

# csrc/image/alloc.c is the allocator: neither pymalloc nor mimalloc, which keep pools of their own.
mkdir -p "$work/build"
cd "$work/build"
# What pkg-config knows of is the system's libc's.
CC=$out/cc CFLAGS="$flags" OPT="-DNDEBUG -O2" LINKFORSHARED=" " PKG_CONFIG=/bin/false ../python3/configure \
    --disable-shared --disable-test-modules --without-ensurepip --without-doc-strings \
    --without-pymalloc --without-mimalloc >configure.log 2>&1 || { tail configure.log >&2; exit 1; }
cp "$here/Setup.local" Modules/Setup.local

compile() { # with FLAGS
    # The flags that configure gives to CPython's own files, and ours.
    own=$(sed -n 's/^CONFIGURE_CFLAGS_NODIST=//p' Makefile | head -n 1)
    make -s -j"$jobs" CONFIGURE_CFLAGS_NODIST="$own $1" PY_LDFLAGS="$2" "libpython3.13.a" \
        >make.log 2>&1 || { tail -n 30 make.log >&2; exit 1; }
}
if [ -z "$training" ]; then
    compile "" ""
else
    compile "-fprofile-generate -fprofile-update=single" -fprofile-generate
fi

mkdir -p "$work/seccomp"
cd "$work/seccomp"
# gperf is for who changes its tables: the source has what it makes.
CC=$out/cc CFLAGS="$flags" GPERF=/bin/true ../libseccomp/configure --host="$(uname -m)-linux-musl" \
    --disable-shared --enable-static >configure.log 2>&1 || { tail configure.log >&2; exit 1; }
make -s -j"$jobs" -C src libseccomp.la >make.log 2>&1 || { tail -n 30 make.log >&2; exit 1; }

cd "$out"
cp work/seccomp/src/.libs/libseccomp.a .
mkdir -p include python
cp -R work/python3/Include/. python/
cp work/build/pyconfig.h python/
cp -R work/python3/Lib lib
cp work/seccomp/include/seccomp.h work/libseccomp/include/seccomp-syscalls.h include/
mkdir cffi
tar -xzf "$sources"/cffi-*.tar.gz -C cffi --strip-components=1
cp work/build/libpython3.13.a libpython.a

if [ -n "$training" ]; then
    TRAIN=1 sh "$here/link.sh" "$out" "$training/generated" "$training/seed"
    # What was counted while CPython itself was built is not what it is to be good at.
    find work/build -name '*.gcda' -delete
    (cd "$training" && "$training/seed" "$out/lib" "$here/lives.py" 12)
    cd "$work/build"
    make -s clean-retain-profile >/dev/null 2>&1
    cp "$here/Setup.local" Modules/Setup.local
    compile "-fprofile-use -fprofile-correction -Wno-missing-profile" ""
    cd "$out"
    cp work/build/libpython3.13.a libpython.a
fi
rm -rf work lib/test lib/idlelib lib/tkinter lib/turtledemo lib/ensurepip lib/lib2to3

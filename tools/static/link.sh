#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Links the seed: CPython, cffi's backend, the command's C and libseccomp in one static program.
#     link.sh LIBRARIES GENERATED OUT      (libraries.sh's output; cffi's C of the modules; a program)
#
# What belongs to the interpreter and what belongs to libc must not be mixed: the image keeps the
# data of the former, the latter begins anew in each process. So in CPython's archive and in all
# that Python calls
#   - data goes to a section "pydata" and zeroed data to "pybss", with contents, so that the file
#     has room for what the seed leaves in it (csrc/image/write.c);
#   - malloc and its like are those of csrc/image/alloc.c, strerror is that of words.c, memcpy that
#     of copy.c.
# csrc/image has its data there too, but calls libc's malloc: for what it does beside the image.
# With TRAIN=1 the seed counts for the compiler (libraries.sh), and writes no image.
set -eu
libraries=$(cd "$1" && pwd)
generated=$(cd "$2" && pwd)
mkdir -p "$(dirname "$3")"
out=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=$libraries/cc
flags="-std=gnu11 -O2 -fno-strict-aliasing -fno-asynchronous-unwind-tables -fno-unwind-tables
    -fwrapv -DNDEBUG -fstack-protector-strong -ffile-prefix-map=$PWD=."
ours="-Wall -Wextra -Werror${TRAIN:+ -DTRAIN}"
# CPython's headers and generated code are not ours to clean.
python="-isystem $libraries/python -isystem $libraries/python/internal -I$libraries/include"
mkdir "$work/python" "$work/image"

compile() { # into DIRECTORY, with FLAGS, a FILE
    directory=$1 more=$2 file=$3
    # shellcheck disable=SC2086
    "$cc" $flags $python $more -c "$file" -o "$work/$directory/$(basename "$file" .c).o"
}
for file in csrc/image/*.c; do compile image "$ours" "$file"; done
for file in csrc/core/*.c; do compile python "$ours -iquote csrc/core" "$file"; done
for file in "$generated"/*.c; do compile python "-w -iquote csrc/core" "$file"; done
compile python "$ours" tools/static/no_libffi.c
compile python "-w -DFFI_BUILDING=1 -DUSE__THREAD -DHAVE_SYNC_SYNCHRONIZE -I$libraries/cffi/src/c" \
    "$libraries/cffi/src/c/_cffi_backend.c"

zeroed=pybss,alloc,load,data,contents
gathered="--rename-section .data=pydata --rename-section .bss=$zeroed"
for section in rel rel.local rel.ro rel.ro.local; do
    gathered="$gathered --rename-section .data.$section=pydata"
done
gathered="$gathered --rename-section .PyRuntime=pydata"
renamed=""
for name in malloc calloc realloc free memcpy pthread_create strerror; do
    renamed="$renamed --redefine-sym $name=image_$name"
done
# shellcheck disable=SC2086
{
    objcopy $gathered $renamed "$libraries/libpython.a" "$work/libpython.a"
    for file in "$work"/python/*.o; do objcopy $gathered $renamed "$file"; done
    for file in "$work"/image/*.o; do objcopy $gathered "$file"; done
}
# A compiler that invents another name for data would leave it to begin anew in each process.
left=$(objdump -h "$work/libpython.a" "$work"/python/*.o "$work"/image/*.o |
    awk '$2 ~ /^\.(data|bss|init_array|tdata|PyRuntime)/ && $3 !~ /^0+$/ { print $2 }' | sort -u)
[ -z "$left" ] || [ -n "${TRAIN-}" ] || { echo "link: data that is in no section of the image:" $left >&2; exit 1; }

# The heap at an address of its own is a segment of its own, the last of the file. Addresses are
# fixed (no PIE): the image is full of them. A kernel for aarch64 may have pages of 64 KiB, and maps
# no segment that begins between two.
case $(uname -m) in aarch64) page=65536 ;; *) page=4096 ;; esac
"$cc" -Wl,--section-start=pyheap=0x10000000 -Wl,-z,noseparate-code -Wl,-z,max-page-size=$page \
    -Wl,-z,noexecstack -Wl,-Map="$out.map" -o "$out" \
    "$work"/image/*.o "$work"/python/*.o "$work/libpython.a" "$libraries/libseccomp.a" -lm ${TRAIN:+-lgcov}

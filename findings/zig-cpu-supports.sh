#!/usr/bin/env bash
# A program that zig compiles for x86-64 believes that its processor can do nothing.
#
# One would guess: `zig cc` is clang, so that __builtin_cpu_supports("avx2") asks the processor, as after gcc and clang,
# and a library that chooses among its kernels by it is as fast when zig has cross-compiled it.
#
# What happens: the call is false for everything, for sse2 too, which every x86-64 processor has; the table that it reads,
# __cpu_model, stays 0. Nothing warns, every choice among kernels falls to the slowest one, and results stay right.
#
# Why: zig links its own compiler-rt, whose __cpu_indicator_init returns without asking CPUID. Its source says so
# (lib/compiler_rt/fmv.zig): "a conservative stub for now, to make sure that code that uses function multiversioning will
# link correctly, albeit with the slowest variant of a function". aarch64's and RISC-V's are such stubs too.
#
# Versions: ziglang 0.17.1 from PyPI, x86-64 Linux, against gcc 12.2.0. Public source: ziglang/zig#18074 is about the time
# when the symbols were missing, so that such programs did not link; the pull requests #18193 and #20081, which would have
# filled the table, are closed. No issue was found about the stub's answer.
# Remedy: ask the processor with <cpuid.h> (CPUID and XGETBV) instead, or build for x86-64 with gcc or clang.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ "$(uname -m)" = x86_64 ] || { echo "this machine is no x86-64: nothing to see" >&2; exit 1; }
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check ziglang==0.17.1
cat > "$folder/supports.c" <<'C'
#include <stdio.h>

extern struct { unsigned vendor, type, subtype, features; } __cpu_model;

int main(void)
{
    __builtin_cpu_init();
    printf("sse2 %d, avx2 %d, table %s\n", __builtin_cpu_supports("sse2") != 0, __builtin_cpu_supports("avx2") != 0,
           __cpu_model.features ? "filled" : "empty");
    return 0;
}
C
gcc "$folder/supports.c" -o "$folder/by-gcc"
"$folder/env/bin/python" -m ziglang cc "$folder/supports.c" -o "$folder/by-zig"
said_gcc=$("$folder/by-gcc") said_zig=$("$folder/by-zig")
printf 'gcc: %s\nzig: %s\n' "$said_gcc" "$said_zig"
if [ "${said_gcc%%,*}" = "sse2 1" ] && [ "$said_zig" = "sse2 0, avx2 0, table empty" ]; then
    echo "as found: gcc's program knows its processor, zig's does not"
else
    echo "this has changed" >&2
    exit 1
fi

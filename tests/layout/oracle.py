#!/usr/bin/env python3
"""Asks mingw-w64's ddk headers about every constant and every routine our headers declare.

usage: oracle.py CLANG OUR_INCLUDES MINGW_DDK

Both header sets are compiled for a driver's target. Constants must have the same value; routines, taken as C++ so that the compiler spells their
types without aliases, the same signature. What mingw-w64 does not know is counted; what it says otherwise is an error unless listed here.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# name: why ours is right
KNOWN = {
    "NTDDI_VERSION": "version 2004, whose structures we have",
    "RtlUpperString": "newer kits take the source as const",
    "RtlGUIDFromString": "newer kits take the text as const",
    "RtlxAnsiStringToUnicodeSize": "newer kits take the text as const",
    "RtlCopyString": "newer kits take the source as const",
    "RtlEqualString": "newer kits take both as const",
    "RtlCompareString": "newer kits take both as const",
    "RtlAnsiStringToUnicodeString": "newer kits take the source as const",
    "MmMapLockedPagesSpecifyCache": "the priority carries MdlMapping flags too, so newer kits take a ULONG",
    **{f"Ke{what}GuardedMutex{how}": "since Windows 8 a guarded mutex is a fast mutex"
       for what in ("Initialize", "Acquire", "TryToAcquire", "Release") for how in ("", "Unsafe")},
    **{f"{access}_REGISTER_BUFFER_{width}": "newer kits take the register as volatile"
       for access in ("READ", "WRITE") for width in ("UCHAR", "USHORT", "ULONG")},
}
TARGET = "--target=x86_64-w64-windows-gnu-elf -fms-extensions -ffreestanding -fno-builtin -nostdlibinc -ferror-limit=0 -w".split()


def main():
    clang, ours, ddk = sys.argv[1:4]
    headers = [path.read_text() for path in sorted(pathlib.Path(ours).glob("**/*.h")) if path.name != "sal.h"]
    our_flags = ["-I" + ours]
    ddk_flags = ["-D_AMD64_", "-D__INTRINSIC_DEFINED_InterlockedBitTestAndSet", "-D__INTRINSIC_DEFINED_InterlockedBitTestAndReset",
                 "-isystem", ddk, "-isystem", ddk + "/.."]
    differences = 0
    for what, names, ask in (("constants", constants(headers), values), ("routines", routines(headers), signatures)):
        mine, theirs = ask(clang, our_flags, names), ask(clang, ddk_flags, names)
        common = [name for name in mine if name in theirs]
        print(f"{what}: {len(mine)} of ours, {len(common)} known to mingw-w64")
        if len(common) < 200:  # there are several hundred: fewer means that the question was not understood
            sys.exit("too few names in common; was mingw-w64's header set compiled at all?")
        for name in common:
            if mine[name] != theirs[name] and name not in KNOWN:
                print(f"{name}:\n  ours      {mine[name]}\n  mingw-w64 {theirs[name]}")
                differences += 1
    sys.exit(1 if differences else 0)


def constants(headers):
    names = []
    for text in headers:
        names += re.findall(r"^#define ([A-Z]\w*) [^\n]*$", text, re.M)
        for body in re.findall(r"enum \w+ \{(.*?)\}", text, re.S):
            names += re.findall(r"\b([A-Z]\w+)\b(?=\s*(?:=[^,}]*)?(?:,|$))", body)
    return list(dict.fromkeys(names))


def routines(headers):
    names = []
    for text in headers:
        for line, name in re.findall(r"^(.*)NTAPI (\w+)\(", text, re.M):
            if not line.startswith("typedef"):
                names.append(name)
        names += re.findall(r"^WDK_INLINE .*?(\w+)\(", text, re.M)
    return list(dict.fromkeys(names))


def compile_what_compiles(clang, flags, language, prologue, lines):
    """Drops the lines that do not compile; the output of the rest."""
    with tempfile.TemporaryDirectory() as folder:
        source, output = f"{folder}/ask.{language}", f"{folder}/ask.out"
        for _ in range(6):
            offset = prologue.count("\n") + 1
            pathlib.Path(source).write_text(prologue + "\n".join(lines) + "\n")
            run = subprocess.run([clang, *TARGET, *flags, "-S", "-o", output, source], capture_output=True, text=True)
            if run.returncode == 0:
                return pathlib.Path(output).read_text()
            bad = {int(number) - offset for number in re.findall(re.escape(source) + r":(\d+):", run.stderr)}
            if not bad & set(range(len(lines))):
                break
            lines = [line for number, line in enumerate(lines) if number not in bad]
        sys.exit(run.stderr)


def values(clang, flags, names):
    result = {}
    # mingw-w64 wants its status values and bug check codes asked for, and then forgets a few of the header before: ask twice.
    for more in ("", "#include <ntstatus.h>\n#include <bugcodes.h>\n"):
        lines = [f"const long long ask_{name} = (long long)({name});" for name in names]
        assembly = compile_what_compiles(clang, flags, "c", "#include <ntddk.h>\n" + more, lines)
        for name, kind, number in re.findall(r"^ask_(\w+):.*\n\t\.(quad|zero)\t(-?\d+)", assembly, re.M):
            result[name] = hex(int(number) & 0xFFFFFFFF) if kind == "quad" else "0x0"
    return result


def signatures(clang, flags, names):
    lines = [f"template<class T> void ask_{name}(T*); void use_{name}() {{ ask_{name}(&{name}); }}" for name in names]
    assembly = compile_what_compiles(clang, [*flags, "-std=c++17"], "cc", 'extern "C" {\n#include <ntddk.h>\n}\n', lines)
    symbols = sorted(set(re.findall(r"\b(_Z\d+ask_\w+)", assembly)))
    spelled = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^void ask_(\w+?)<(.*)>\(", spelled, re.M))


if __name__ == "__main__":
    main()

"""kdpc in gdb: `nt dpcs`, `nt irql 1`, … and `!dpcs`, on a live process and on a core file.

gdb loads this by itself beside libkdpc-sim.so or libkdpc-live.so, if `auto-load safe-path` has that folder; else `source` it. Nothing is executed in
the process: its memory is read. What the views show is the business of `kdpc show`, which is started for each command and asks for memory through a
pipe (tools/kdpc/pipe_memory.h). KDPC is the program to start, if it is not found beside the library.
"""
import os
import re
import shutil
import subprocess

import gdb

VIEWS = {
    "dpcs": "[CPU]", "irql": "[CPU] [-v]", "ipi": "[CPU]", "timer": "[CPU]", "pcr": "[CPU]", "prcb": "[CPU]", "running": "[-i] [-t]",
    "idt": "[CPU] [-a]", "qlocks": "", "analyze": "[-v]",
}
LIBRARY = re.compile(r"/libkdpc-(sim|live)\.so")


def mapped_files():
    """(begin, end, offset, path) of each part of a file, by address; of a process and of a core file alike."""
    found = re.finditer(r"^\s*0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(?:[-rwxps]{4,5}\s+)?(/.*?)\s*$",
                        gdb.execute("info proc mappings", to_string=True), re.M)
    return sorted((int(each[1], 16), int(each[2], 16), int(each[3], 16), each[4]) for each in found)


def program(files):
    """kdpc: of the environment, of the build or installation that the library is from, of the PATH."""
    if os.environ.get("KDPC"):
        return os.environ["KDPC"]
    for *_, path in files:
        if LIBRARY.search(path):
            beside = os.path.join(os.path.dirname(os.path.dirname(path)), "bin", "kdpc")
            if os.access(beside, os.X_OK):
                return beside
    found = shutil.which("kdpc")
    if found is None:
        raise gdb.GdbError("kdpc is not found beside the library, nor in PATH: set the environment variable KDPC to the program")
    return found


def serve(child, files):
    """Answers the child until it has no more questions; returns what it has to say."""
    inferior, text = gdb.selected_inferior(), []
    while True:
        words = child.stdout.readline().decode().split()
        if not words:
            return "".join(text)
        if words[0] == "text":
            text.append(child.stdout.read(int(words[1], 16)).decode(errors="replace"))
            continue
        if words[0] == "read":
            try:
                answer = b"+" + inferior.read_memory(int(words[1], 16), int(words[2], 16)).tobytes()
            except (gdb.MemoryError, OverflowError):
                answer = b"-"
        else:
            answer = "".join(f"{begin:x} {end:x} {offset:x} {path}\n" for begin, end, offset, path in files).encode() + b"\n"
        child.stdin.write(answer)
        child.stdin.flush()


def show(words):
    try:
        files = mapped_files()
    except gdb.error as error:
        raise gdb.GdbError(f"there is no process and no core file to look at: {error}") from None
    with subprocess.Popen([program(files), "show", "--memory-over-pipe", " ".join(words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        gdb.write(serve(child, files))


def usage():
    return "".join(f"nt {name} {takes}".rstrip() + "\n" for name, takes in VIEWS.items())


class Nt(gdb.Command):
    """The state of the NT kernel in this process: nt dpcs, nt irql, nt ipi, nt timer, nt pcr, nt prcb, nt running, nt idt, nt qlocks, nt analyze.
`nt help` says what each takes."""

    def __init__(self):
        super().__init__("nt", gdb.COMMAND_DATA)

    def complete(self, text, word):
        return [name for name in (*VIEWS, "help") if name.startswith(word)] if " " not in text else []

    def invoke(self, argument, from_tty):
        words = argument.split()
        if not words or words[0] == "help":
            gdb.write(usage())
        elif words[0] not in VIEWS:
            raise gdb.GdbError(f"there is no view '{words[0]}'; there are {', '.join(VIEWS)}")
        else:
            show(words)


class Bang(gdb.Command):
    """!dpcs and its like are WinDbg's words for `nt dpcs`; anything else is a command for the shell, as ever."""

    def __init__(self):
        super().__init__("!", gdb.COMMAND_SUPPORT)

    def invoke(self, argument, from_tty):
        words = argument.split()
        gdb.execute(("nt " if words and words[0] in VIEWS else "shell ") + argument)


Nt()
Bang()

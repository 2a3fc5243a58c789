#!/usr/bin/env python3
"""The debugger's views have three doors, and behind each is the same: gdb on a process, gdb on a core file, kdpc show on that core file. Each must print
byte for byte what the process itself says it should.

views_test.py GDB PROGRAM KDPC LIBRARY_FOLDER
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

GDB, PROGRAM, KDPC, LIBRARIES = sys.argv[1:5]
STAGED = "View.ADebuggerShowsTheSame"
STOPPED = "View.AnalyzeTellsABugcheck"


def sections(text):
    parts = re.split(r"^<([a-z][^>\n]*)>\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


class Views(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="kdpc-views-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.expected, cls.live, cls.dead, cls.core = {}, {}, {}, {}
        for case in (STAGED, STOPPED):
            cls.run_live(case)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def gdb(cls, commands, *arguments, **environment):
        line = [GDB, "-nx", "-batch", "-ex", "set pagination off", "-ex", "set width 0"]
        for folder in (LIBRARIES, os.path.realpath(LIBRARIES), SOURCE):  # the script beside the library is a link to the source's
            line[3:3] = ["-iex", f"add-auto-load-safe-path {folder}"]
        for command in commands:
            line += ["-ex", command]
        done = subprocess.run([*line, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0", **environment}, timeout=110, check=False)
        return done.stdout

    @classmethod
    def run_live(cls, case):
        expected = cls.path(case)
        # Which views there are is known only when the file is: gdb reads it.
        script = cls.path("script.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write("import gdb, re\n"
                       f"for view in re.findall(r'^<([a-z][^>\\n]*)>$', open({expected!r}).read(), re.M):\n"
                       "    gdb.write('<' + view + '>\\n' + gdb.execute('nt ' + view, to_string=True))\n"
                       "gdb.write('<end>\\n')\n")
        core = cls.path(case + ".core")
        cls.live[case] = cls.gdb(["set breakpoint pending on", "break StandStill", "run", f"source {script}", f"generate-core-file {core}", "kill"],
                                 "--args", PROGRAM, f"--gtest_filter={case}", KDPC_VIEWS_EXPECTED=expected)
        with open(expected, encoding="utf-8") as file:
            cls.expected[case] = sections(file.read())
        cls.core[case] = core
        cls.dead[case] = cls.gdb([f"source {script}"], PROGRAM, core)

    def same(self, wanted, text):
        shown = sections(text)
        self.assertGreater(len(wanted), 2)
        for view, expected in wanted.items():
            self.assertEqual(shown.get(view), expected, f"{view} in\n{text}")

    def test_gdb_shows_a_process(self):
        for case in (STAGED, STOPPED):
            self.same(self.expected[case], self.live[case])

    def test_gdb_shows_a_core(self):
        for case in (STAGED, STOPPED):
            self.same(self.expected[case], self.dead[case])

    def test_the_command_shows_a_core(self):
        for case in (STAGED, STOPPED):
            for view, expected in self.expected[case].items():
                done = subprocess.run([KDPC, "show", view, "--core", self.core[case]], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual((done.returncode, done.stdout), (0, expected), view)
                self.assertRegex(done.stderr, r"^kdpc: a World of the machine sim, [13] processors?, at \d+\.\d{3} \d{3} ms\n$")

    def test_what_is_staged_is_seen(self):
        dpcs = self.expected[STAGED]["dpcs"]
        self.assertRegex(dpcs, r"(?m)^ 1: Threaded: 0x[0-9a-f]{16} 0x[0-9a-f]{16} view_test\.sim!StagedThreadedDpc +Medium +1 +- +-$")
        self.assertIn("PLACE:      view_test.sim!StagedWait+", self.expected[STOPPED]["analyze"])

    def test_a_processor_that_runs_right_now(self):
        shown = sections(self.gdb(["set breakpoint pending on", "break StageDpc", "run", "echo <irql>\\n", "nt irql 0", "echo <running>\\n", "nt running -t",
                                   "echo <end>\\n", "kill"], "--args", PROGRAM, f"--gtest_filter={STAGED}"))
        self.assertEqual(shown["irql"], "Debugger saved IRQL for processor 0x0 -- 2 (DISPATCH_LEVEL)\n")
        stacks = re.split(r"^  \d  .*\n", shown["running"], flags=re.M)[1:]
        self.assertEqual(len(stacks), 3, shown["running"])
        self.assertEqual(stacks[0], "\n     (it runs right now: a debugger's own backtrace shows its stack)\n\n")
        self.assertIn("  nt!KeAcquireInStackQueuedSpinLock+", stacks[1])
        self.assertIn("  nt!KeStallExecutionProcessor+", stacks[2])

    def test_words_of_windbg(self):
        shown = self.gdb(["echo <irql>\\n", "!irql", "echo <shell>\\n", "!echo a shell still answers", "echo <wrong>\\n", "nt frob", "echo <help>\\n", "nt help"],
                         PROGRAM, self.core[STAGED])
        parts = sections(shown)
        self.assertEqual(parts["irql"], self.expected[STAGED]["irql"])
        self.assertEqual(parts["shell"], "a shell still answers\n")
        self.assertIn("there is no view 'frob'; there are dpcs, irql", parts["wrong"])
        self.assertIn("nt running [-i] [-t]\n", parts["help"])

    def test_what_is_no_world_is_said(self):
        self.assertIn("there is no process and no core file", self.gdb([f"source {os.path.join(SOURCE, 'tools/gdb/kdpc-gdb.py')}", "nt irql"], PROGRAM))
        for path, why in ((self.path("script.py"), "is no core file of a 64-bit x86 process"), ("/nowhere", "cannot be read: No such file"),
                          (PROGRAM, "is no core file of a 64-bit x86 process")):
            done = subprocess.run([KDPC, "show", "irql", "--core", path], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(why, done.stderr)


SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

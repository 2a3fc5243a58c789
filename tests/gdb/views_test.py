#!/usr/bin/env python3
"""The debugger's views have three doors, and behind each is the same: gdb on a process, gdb on a core file, kdpc show on that core file. Each must print
byte for byte what the process itself says it should. PROGRAM is a test of the views, on MACHINE.

views_test.py GDB PROGRAM KDPC LIBRARY_FOLDER MACHINE
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

GDB, PROGRAM, KDPC, LIBRARIES, MACHINE = sys.argv[1:6]
IMAGE = os.path.basename(PROGRAM)
STAGED, STOPPED = {
    "sim": ("View.ADebuggerShowsTheSame", "View.AnalyzeTellsABugcheck"),
    "live": ("ViewMachines.ADebuggerShowsTheSame", "ViewMachines.ADebuggerShowsABugcheck"),
}[MACHINE]
ALL_VIEWS = ["dpcs", "irql -v", "ipi", "timer", "pcr", "prcb", "running", "running -i -t", "idt -a", "qlocks", "analyze -v"]


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
                self.assertRegex(done.stderr, rf"^kdpc: a World of the machine {MACHINE}, [13] processors?, at \d+\.\d{{3}} \d{{3}} ms\n$")

    def test_what_is_staged_is_seen(self):
        dpcs = self.expected[STAGED]["dpcs"]
        self.assertRegex(dpcs, rf"(?m)^ 1: Threaded: 0x[0-9a-f]{{16}} 0x[0-9a-f]{{16}} {re.escape(IMAGE)}!StagedThreadedDpc +Medium +1 +- +-$")
        self.assertIn(f"PLACE:      {IMAGE}!StagedWait+", self.expected[STOPPED]["analyze"])

    @unittest.skipIf(MACHINE != "sim", "where a debugger stops all processors, and they are more than one thread, it is LiveRun that looks")
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


@unittest.skipIf(MACHINE != "live", "elsewhere nothing moves while somebody looks")
class LiveRun(unittest.TestCase):
    """A run that is in the middle of things: what a view cannot say it says, and nothing else goes wrong."""

    SCENARIO = """
duration_ms = 100000
[machine]
kind = 'live'
processors = 2
[[drivers]]
name = 'hog'
parameters = { FirstMs = 10, PeriodMs = 20, Count = 4000, RunUs = 10_000, Processor = 1 }
"""

    @classmethod
    def setUpClass(cls):
        Views.folder = cls.folder = tempfile.mkdtemp(prefix="kdpc-views-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        scenario = os.path.join(cls.folder, "a.toml")
        with open(scenario, "w", encoding="utf-8") as file:
            file.write(cls.SCENARIO)
        with subprocess.Popen([KDPC, "run", scenario, "--out", os.path.join(cls.folder, "out")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as run:
            try:
                cls.wait_for(run)
                # One after the other: each finds it somewhere else.
                cls.cores = [cls.core_of(run, number) for number in range(2)]
                cls.attached = Views.gdb([f"source {os.path.join(SOURCE, 'tools/gdb/kdpc-gdb.py')}"]
                                         + [word for view in ALL_VIEWS for word in (f"echo <{view}>\\n", f"nt {view}")] + ["echo <end>\\n", "detach"],
                                         "-p", str(run.pid))
            finally:
                run.kill()

    @classmethod
    def wait_for(cls, run):
        """Until its processors run: they are threads of its."""
        tasks, deadline = f"/proc/{run.pid}/task", time.monotonic() + 60
        while time.monotonic() < deadline and run.poll() is None:
            if "processor 1\n" in [pathlib.Path(tasks, task, "comm").read_text(encoding="utf-8") for task in os.listdir(tasks)]:
                time.sleep(0.5)
                return
            time.sleep(0.05)
        raise AssertionError("the run has no processors")

    @classmethod
    def core_of(cls, run, number):
        path = os.path.join(cls.folder, f"core {number}")
        said = Views.gdb([f"generate-core-file {path}", "detach"], "-p", str(run.pid))
        if not os.path.exists(path):
            raise AssertionError(said)
        return path

    def test_every_view_of_a_core_says_something(self):
        for core in self.cores:
            for view in ALL_VIEWS:
                done = subprocess.run([KDPC, "show", view, "--core", core], capture_output=True, text=True, errors="replace", timeout=60, check=False)
                self.assertEqual(done.returncode, 0, f"{view}: {done.stderr}")
                self.assertNotEqual(done.stdout.strip(), "", view)
                self.assertRegex(done.stderr, r"^kdpc: a World of the machine live, 2 processors, at \d+\.\d{3} \d{3} ms\n$")

    def test_the_driver_is_seen_in_a_core(self):
        timers = [subprocess.run([KDPC, "show", "timer", "--core", core], capture_output=True, text=True, timeout=60, check=True).stdout for core in self.cores]
        self.assertTrue(any("hog" in each for each in timers), timers)

    def test_stacks_are_those_of_processors_that_stand_still(self):
        for core in self.cores:
            shown = subprocess.run([KDPC, "show", "running -i -t", "--core", core], capture_output=True, text=True, timeout=60, check=True).stdout
            stacks = re.split(r"^  \d  .*\n", shown, flags=re.M)[1:]
            self.assertEqual(len(stacks), 2, shown)
            for stack in stacks:
                self.assertTrue("it runs right now" in stack or "  nt!kdpc::entry::thread_begins+" in stack, shown)

    def test_every_view_of_the_process_says_something(self):
        shown = sections(self.attached)
        for view in ALL_VIEWS:
            self.assertNotEqual(shown.get(view, "").strip(), "", f"{view} in\n{self.attached}")
            self.assertNotRegex(shown[view], "Traceback|Error occurred|Python Exception", self.attached)


SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

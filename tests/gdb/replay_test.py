#!/usr/bin/env python3
"""A schedule in gdb: the run that `kdpc explore` found goes through the same code, stops at breakpoints in the driver, and is still the same run.

replay_test.py GDB KDPC SCENARIO
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

GDB, KDPC, SCENARIO = sys.argv[1:4]
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # it cannot be traced while it looks for them


def run(*arguments):
    return subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env=ENVIRONMENT, timeout=200).stdout


class Replay(unittest.TestCase):
    def test_stops_in_the_driver_and_is_the_same_run(self):
        with tempfile.TemporaryDirectory(prefix="kdpc-gdb-") as folder:
            schedule = pathlib.Path(folder) / "broken.schedule"
            found = run(KDPC, "explore", SCENARIO, "--no-races", "--seconds", "0", "--schedules", "3000", "--out", schedule)
            self.assertIn("Failure: bug check", found)
            said = run(GDB, "-nx", "-batch", "-ex", "set breakpoint pending on", "-ex", "handle SIGSEGV nostop noprint pass", "-ex", "break Receive",
                       "-ex", "run", "-ex", "backtrace", "-ex", "delete", "-ex", "break KeBugCheckEx", "-ex", "continue", "-ex", "backtrace", "-ex",
                       "continue", "--args", KDPC, "replay", schedule)
        self.assertRegex(said, r"#0 +Receive \(.*two_locks_one_index\.c:\d+\n(?s:.*)#\d+ .*kdpc::dpc::call_routine")
        self.assertRegex(said, r"#0 +KeBugCheckEx \(.*\n#1 .* Stop \(.*two_locks_one_index\.c:\d+\n")
        self.assertRegex(said, r"The same run, hash [0-9a-f]{16}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

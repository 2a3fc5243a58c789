#!/usr/bin/env python3
"""gdb on a program that loads the driver hello: it stops in the driver's ISR and DPC by their names, which exist only later, and its backtraces go
through the driver, the kernel, and the driver again, across the processor's own stacks.

gdb_test.py GDB PROGRAM
"""
import os
import re
import subprocess
import sys
import unittest

GDB, PROGRAM = sys.argv[1:3]
COMMANDS = [
    "set breakpoint pending on", "set pagination off", "set width 0",
    "break HelloIsr", "break HelloDpc",
    "run", "echo \\n<isr>\\n", "backtrace", "echo </isr>\\n",
    "continue", "echo \\n<dpc>\\n", "backtrace", "info args", "echo </dpc>\\n",
    "delete", "continue",
]


def part(output, name):
    found = re.search(rf"<{name}>\n(.*?)</{name}>", output, re.S)
    return found[1] if found else ""


def frames(backtrace):
    """(function, file) of each frame, innermost first."""
    return re.findall(r"^#\d+\s+(?:0x[0-9a-f]+ in )?(\S+).*?(?: at (?:\S*/)?(\S+):\d+)?$", backtrace, re.M)


class Gdb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        arguments = [GDB, "-nx", "-batch"]
        for command in COMMANDS:
            arguments += ["-ex", command]
        arguments += ["--args", PROGRAM, "--gtest_filter=Hello.CountsWhatItsDeviceDoes"]
        environment = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # it cannot be traced while it looks for them
        run = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                             env=environment, timeout=110)
        cls.output = run.stdout

    def expect_in_order(self, backtrace, functions):
        remaining = [function for function, _ in frames(backtrace)]
        for function in functions:
            self.assertTrue(any(name.startswith(function) for name in remaining), f"no {function} in\n{backtrace or self.output}")
            while not remaining.pop(0).startswith(function):
                pass

    def test_stops_in_the_isr_with_kernel_and_driver_beneath(self):
        backtrace = part(self.output, "isr")
        self.assertEqual(frames(backtrace)[:1], [("HelloIsr", "hello.c")], self.output)
        self.expect_in_order(backtrace, ["HelloIsr", "kdpc::interrupt::", "kdpc::entry::interrupt", "WRITE_REGISTER_ULONG", "HelloControl", "kdpc::io::irp::call",
                                         "kdpc::entry::thread_begins"])

    def test_stops_in_the_dpc_and_knows_its_arguments(self):
        backtrace = part(self.output, "dpc")
        self.assertEqual(frames(backtrace)[:1], [("HelloDpc", "hello.c")], self.output)
        self.expect_in_order(backtrace, ["HelloDpc", "kdpc::dpc::call_routine", "kdpc::dpc::retire_here", "kdpc::lower_here", "HelloControl"])
        self.assertRegex(backtrace, r"\nDpc = 0x4[0-9a-f]+\n")  # in the World

    def test_the_program_ends_as_it_would_alone(self):
        self.assertRegex(self.output, r"\[  PASSED  \] 1 test")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

#!/usr/bin/env python3
"""A serial line on the live machine: a file comes through a pseudo terminal, and everything that is lost is counted."""
import os
import random
import unittest

import command

CONTENT = random.Random(4711).randbytes(300_000)


class LiveLine(command.Case):
    def folder(self):
        path = super().folder()
        with open(os.path.join(path, "file.bin"), "wb") as file:
            file.write(CONTENT)
        return path

    def example(self, *changes):
        return command.example("live/serial-pty.toml", ("/usr/share/common-licenses/GPL-3", "file.bin"), *changes)

    def received(self, run, name="received.bin"):
        with open(os.path.join(run.out, name), "rb") as file:
            return file.read()

    def test_a_file_comes_through_a_pseudo_terminal_byte_for_byte(self):
        for processors in (1, 2, 4):
            with self.subTest(processors=processors):
                run = self.run_scenario(self.example(("processors = 2", f"processors = {processors}")))
                self.assertEqual(run.code, 0, run.said)
                self.assertEqual(self.received(run), CONTENT)
                line = run.report["line"]
                self.assertEqual((line["lost_in_chip"], line["lost_later"], line["counted_chip_overruns"], line["counted_ring_overruns"]), (0, 0, 0, 0))
                self.assertIn("every one of its 300000 bytes", run.stdout)
                routines = {each["routine"]: each for each in run.report["isrs"] + run.report["dpcs"]}
                # How often depends on who is faster: where the line is, a service routine finds it full again and again, and takes all in one call.
                self.assertGreater(routines["SerialIsr"]["count"], 0)
                self.assertGreater(routines["SerialDpcForIsr"]["count"], 0)

    def test_both_directions_at_once(self):
        run = self.run_scenario(self.example(('receive = "file.bin"', 'receive = "file.bin"\nsend = "file.bin"')))
        self.assertEqual(run.code, 0, run.said)
        self.assertEqual(self.received(run), CONTENT)
        self.assertEqual(self.received(run, "heard.bin"), CONTENT)

    def test_a_line_that_waits_for_nobody_loses_what_comes_too_late_and_each_byte_of_it_is_counted(self):
        hog = "\n[[drivers]]\nname = 'hog'\nparameters = { FirstMs = 50, RunUs = 4000, PeriodMs = 50, Count = 3, Level = 15 }\n[workload]"
        run = self.run_scenario(self.example(('flow = "room"', 'flow = "none"'), ("lost_bytes = 0", 'lost_bytes = ">0"'), ("[workload]", hog)))
        self.assertEqual(run.code, 0, run.said)
        line, received = run.report["line"], self.received(run)
        self.assertEqual(len(received) + line["lost_in_chip"] + line["lost_later"], len(CONTENT))
        self.assertGreater(line["lost_in_chip"], 0)
        self.assertGreater(line["counted_chip_overruns"], 0)
        self.assertFalse(line["garbled"])
        left = bytearray(CONTENT)
        for loss in reversed(line["overruns"]):
            del left[loss["first_byte"]:loss["first_byte"] + loss["bytes"]]
        if line["lost_later"] == 0:
            self.assertEqual(received, left)

    def test_what_needs_the_other_machine_is_said(self):
        for changes, said in (
            ([('kind = "live"', 'kind = "sim"')], "it needs kind = \"live\" in [machine]"),
            ([("[devices.com1]", "[costs]\nisr_entry = 5\n[devices.com1]")], "the live machine runs in real time"),
            ([('flow = "room"', 'flow = "xon"')], "'devices.com1.flow'"),
        ):
            run = self.run_scenario(self.example(*changes))
            self.assertEqual(run.code, 2, run.said)
            self.assertIn(said, run.stderr)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""A serial line in a scenario: what arrives, what is lost, who is blamed; the far end's side; and what cannot be asked for."""
import os
import unittest

import command

LETTER = "".join(f"{number} " for number in range(4000))  # 18890 bytes, 1.6 s at 115200


def line(*neighbours, device="", workload="receive = 'letter.txt'", expect="", parameters=None):
    others = "".join(f"[[drivers]]\nname = '{name}'\nparameters = {command.value(each)}\n" for name, each in neighbours)
    return (f"time_limit_ms = 60000\n[devices.com1]\nmodel = '16550'\n{device}\n"
            f"[[drivers]]\nname = 'serial'\ndevice = 'com1'\nparameters = {command.value(parameters or {})}\n{others}"
            f"[workload]\nopens = '\\\\.\\COM1'\n{workload}\n[expect]\n{expect}\n")


class Line(command.Case):
    def folder(self):
        path = super().folder()
        with open(os.path.join(path, "letter.txt"), "w", encoding="ascii") as file:
            file.write(LETTER)
        return path

    def content(self, run, name):
        with open(os.path.join(run.out, name), encoding="ascii") as file:
            return file.read()

    def test_nobody_in_the_way_every_byte_arrives(self):
        run = self.run_scenario(line())
        self.assertEqual(run.code, 0, run.said)
        self.assertEqual(run.report["verdict"], "clean")
        self.assertIn("every one of its 18890 bytes", run.stdout)
        self.assertEqual(self.content(run, "received.bin"), LETTER)
        self.assertGreater(run.report["virtual_seconds"], 18890 * 10 / 115200)
        self.assertEqual([each["id"] for each in run.report["findings"] if not each["advice"]], [])

    def test_who_keeps_interrupts_away_longer_than_the_fifo_lasts_is_named(self):
        run = self.run_scenario(line(("hog", {"FirstMs": 300, "RunUs": 4000, "Level": 15})))
        self.assertEqual(run.code, 1, run.said)
        report = run.report
        self.assertEqual(report["verdict"], "lost-bytes")
        self.assertEqual(report["culprit"]["driver"], "hog")
        self.assertEqual(report["culprit"]["routine"], "HogRun")
        (loss,) = report["line"]["overruns"]
        self.assertEqual(loss["bytes"], report["line"]["lost_bytes"])
        # 4 ms are 46 characters; the FIFO has 16, of which up to 8 were there already.
        self.assertAlmostEqual(loss["bytes"], 34, delta=5)
        self.assertIn("HogRun", loss["culprit"])
        gone = loss["first_byte"]
        self.assertEqual(self.content(run, "received.bin"), LETTER[:gone] + LETTER[gone + loss["bytes"]:])
        self.assertEqual(report["line"]["counted_chip_overruns"], 1)
        self.assertIn("Not as expected: lost_bytes", run.stdout)

    def test_who_keeps_only_dpcs_away_costs_nothing(self):
        run = self.run_scenario(line(("hog", {"FirstMs": 300, "RunUs": 100000})))
        self.assertEqual(run.code, 0, run.said)
        self.assertEqual(run.report["line"]["lost_bytes"], 0)

    def test_a_small_ring_loses_bytes_later_than_the_chip(self):
        run = self.run_scenario(line(("hog", {"FirstMs": 300, "RunUs": 100000}), parameters={"RingBytes": 256}, expect="lost_bytes = '>0'"))
        self.assertEqual(run.code, 0, run.said)
        found = run.report["line"]
        self.assertEqual(found["lost_in_chip"], 0)
        self.assertEqual(found["lost_later"], found["counted_ring_overruns"])
        self.assertGreater(found["lost_later"], 500)

    def test_a_lower_trigger_level_leaves_more_time(self):
        lost = {}
        for level in (1, 14):
            hog = ("hog", {"FirstMs": 300, "RunUs": 1000, "PeriodMs": 20, "Count": 20, "Level": 15})
            lost[level] = self.run_scenario(line(hog, parameters={"RxFIFO": level}, expect="lost_bytes = '>=0'")).report["line"]["lost_bytes"]
        self.assertEqual(lost[1], 0)
        self.assertGreater(lost[14], 50)

    def test_what_is_sent_is_heard_at_the_far_end(self):
        run = self.run_scenario(line(workload="send = 'letter.txt'\nreceive = 'letter.txt'"))
        self.assertEqual(run.code, 0, run.said)
        self.assertEqual(self.content(run, "heard.bin"), LETTER)
        run = self.run_scenario(line(workload="send = 'letter.txt'\nbaud = 9600"))
        self.assertEqual(run.code, 1, run.said)
        self.assertIn("are not its 18890", run.stdout)

    def test_a_run_is_the_same_run_every_time(self):
        scenario = line(("hog", {"FirstMs": 300, "RunUs": 4000, "Level": 15}), expect="lost_bytes = '>0'")
        first, second = self.run_scenario(scenario).report, self.run_scenario(scenario).report
        self.assertEqual(first["trace_hash"], second["trace_hash"])
        self.assertEqual(first["line"]["overruns"], second["line"]["overruns"])

    def example(self, name):
        run = self.run_scenario(command.example(f"demo/{name}"))
        self.assertEqual(run.code, 0, run.said)
        return run

    def test_the_example_does_what_it_says(self):
        self.assertIn("The culprit is hog", self.example("serial.toml").stdout)

    def test_on_a_shared_line_each_driver_serves_its_own_card(self):
        isrs = {each["routine"]: each for each in self.example("shared-line.toml").report["isrs"]}
        self.assertEqual(isrs["AdcIsr"]["claimed"], 0)
        self.assertEqual(isrs["SerialIsr"]["claimed"], isrs["SerialIsr"]["count"])
        self.assertEqual(isrs["AdcIsr"]["count"], isrs["SerialIsr"]["count"])

    def test_a_parameter_that_nobody_reads_is_named(self):
        run = self.run_scenario(line(("hog", {"FirstMs": 300, "RunUss": 5, "Colour": 1}), parameters={"RxFIFO": 8}))
        self.assertEqual(run.code, 0, run.said)
        self.assertIn("a.toml:9:1: the parameter RunUss was never read by the driver hog; did you mean 'RunUs'?", run.stdout)
        self.assertEqual([each.split(":", 3)[3].split(";")[0] for each in run.report["warnings"]],
                         [" the parameter Colour was never read by the driver hog", " the parameter RunUss was never read by the driver hog"])

    def test_what_cannot_be_asked_for_is_said(self):
        for scenario, said in (
            (line(workload="receive = 'nothing.txt'"), "a.toml:11:11: the file "),
            (line(expect="dropouts = 0"), "'expect.dropouts' is about sound, and none is played"),
            (line(device="rate = 48000"), "there is no key 'rate' in [devices.com1]"),
            (line(workload="receive = 'letter.txt'\nplay = 'a.wav'"), "there is no key 'play' in [workload]"),
            (line().replace("16550", "adc"), "there is no serial line"),
            (line(workload="receive = 'letter.txt'\nbaud = 7"), "'workload.baud'"),
        ):
            run = self.run_scenario(scenario)
            self.assertEqual(run.code, 2, run.said)
            self.assertIn(said, run.stderr)


if __name__ == "__main__":
    unittest.main()

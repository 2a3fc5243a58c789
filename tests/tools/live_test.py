#!/usr/bin/env python3
"""The command on the live machine: real time, real processors, and the same verdicts about drivers that never come back or fault."""
import json
import os
import resource
import signal
import subprocess
import time
import unittest

import command

AS_EXPECTED, FINDING, INTERRUPTED = 0, 1, 130


def live(name, processors=2, parameters=None, extra=""):
    given = f"parameters = {command.value(parameters)}\n" if parameters else ""
    return f"duration_ms = 300\n[machine]\nkind = 'live'\nprocessors = {processors}\n{extra}\n[[drivers]]\nname = '{name}'\n{given}"


class Live(command.Case):
    def test_a_driver_runs_on_the_processor_it_asks_for_in_real_time(self):
        run = self.run_scenario(live("hog", parameters={"FirstMs": 20, "PeriodMs": 20, "Count": 5, "RunUs": 300, "Processor": 1}))
        self.assertEqual((run.code, run.report["verdict"]), (AS_EXPECTED, "clean"), run.said)
        self.assertEqual(run.report["machine"]["kind"], "live")
        self.assertIn(" s of real time\n", run.stdout)
        hog, = [each for each in run.report["dpcs"] if each["routine"] == "HogRun"]
        self.assertEqual((hog["processor"], hog["count"]), (1, 5), run.said)
        self.assertGreaterEqual(hog["total_us"], 5 * 300)
        self.assertGreaterEqual(run.report["virtual_seconds"], 0.3)
        self.assertLess(run.report["virtual_seconds"], run.report["wall_seconds"] + 0.01)
        self.assertEqual(run.report["warnings"], [])

    def test_an_idle_processor_waits_as_the_scenario_says_and_runs_what_comes(self):
        spent = {}
        for idle in ("back-off", "spin", "block"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            scenario = live("hog", 1, {"FirstMs": 20, "PeriodMs": 20, "Count": 5, "RunUs": 300}, f"idle = '{idle}'")
            run = self.run_scenario(scenario.replace("duration_ms = 300", "duration_ms = 1000"))
            spent[idle] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
            self.assertEqual((run.code, run.report["verdict"]), (AS_EXPECTED, "clean"), run.said)
            self.assertEqual([each["count"] for each in run.report["dpcs"] if each["routine"] == "HogRun"], [5], run.said)
        # All of the second, as far as the host has a processor for it.
        self.assertGreater(spent["spin"], 2 * max(spent["back-off"], spent["block"]) + 0.05, spent)

    def test_events_that_found_no_room_are_told_and_those_of_virtual_time_all_find_some(self):
        scenario = live("many_calls")
        run = self.run_scenario(scenario)
        self.assertEqual((run.code, run.report["verdict"]), (AS_EXPECTED, "clean"), run.said)
        warning, = run.report["warnings"]
        self.assertRegex(warning, r"^\d{4,} events came too fast and are missing in every number of this report$")
        self.assertIn(warning, run.stdout)
        run = self.run_scenario(scenario.replace("'live'", "'sim'"))
        self.assertEqual((run.code, run.report["warnings"]), (AS_EXPECTED, []), run.said)

    def bugcheck(self, name, code, extra=""):
        run = self.run_scenario(live(name, extra=extra))
        self.assertEqual((run.code, run.report["verdict"]), (FINDING, "bugcheck"), run.said)
        self.assertEqual(int(run.report["bugcheck"]["code"], 16), code, run.said)
        self.assertIn(f"{name}.c:", run.stdout)

    def test_a_wild_pointer_is_named_with_its_line(self):
        self.bugcheck("bad_pointer", 0xD1)

    def test_a_dpc_that_never_returns_is_named(self):
        self.bugcheck("bad_spin_in_dpc", 0x133, "[options]\ndpc_time_limit = 4\n")

    def test_a_thread_that_never_lowers_its_level_is_named(self):
        self.bugcheck("bad_spin_in_thread", 0x133, "[options]\ndpc_watchdog_period = 8\n")

    def test_a_stack_that_overflows_is_named(self):
        self.bugcheck("bad_stack_in_thread", 0x7F)
        self.bugcheck("bad_stack_in_dpc", 0x7F)

    def terminated(self, scenario):
        """The report of a run that is told to end when its processors have been at work for a while."""
        path = os.path.join(self.folder(), "a.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(scenario)
        out = os.path.join(self.folder(), "out")
        with subprocess.Popen([command.KDPC, "run", path, "--out", out, "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            tasks, deadline = f"/proc/{process.pid}/task", time.monotonic() + 60
            while not any(self.name_of(tasks, task) == "processor 0" for task in os.listdir(tasks)):
                self.assertLess(time.monotonic(), deadline, "no processor has begun")
                time.sleep(0.02)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, said)
        report = json.loads(said)
        self.assertEqual(report["verdict"], "interrupted")
        self.assertTrue(os.path.exists(os.path.join(out, "report.json")))
        return report

    @staticmethod
    def name_of(tasks, task):
        with open(os.path.join(tasks, task, "comm"), encoding="utf-8") as file:
            return file.read().strip()

    def test_the_signal_to_terminate_ends_a_run_in_order(self):
        endless = ("duration_ms = 300", "duration_ms = 1000000")
        report = self.terminated(live("hog", parameters={"FirstMs": 1, "PeriodMs": 2, "Count": 100000, "RunUs": 100}).replace(*endless))
        hog, = [each for each in report["dpcs"] if each["routine"] == "HogRun"]
        self.assertGreater(hog["count"], 10)
        # And where a driver keeps a processor for itself.
        self.terminated(live("bad_spin_in_dpc", extra="[options]\ndpc_time_limit = 0\ndpc_watchdog_period = 0\n").replace(*endless))


if __name__ == "__main__":
    unittest.main()

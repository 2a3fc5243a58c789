#!/usr/bin/env python3
"""What a scenario asks of kdpc explore: a workload that is done in every order, a card that is pulled out, calls that fail."""
import json
import os
import pathlib
import unittest

import command
import exploring


class Asked(exploring.Case):
    def test_a_workload_is_done_in_every_order(self):
        limits = ("--seconds", "0", "--schedules", "400", "--json", "--jobs", "1")
        for direction in ("receive", "send"):  # what was sent last is heard when the application has closed the port
            scenario = self.example("demo/serial.toml", ("processors = 1", "processors = 2"), ("receive =", f"{direction} ="))
            done, said = self.kdpc("explore", scenario, *limits)
            self.assertEqual(done.returncode, 0, said)
            self.assertEqual(json.loads(done.stdout)["schedules"], 400, said)

    def test_bytes_that_nobody_has_counted_are_missed(self):
        scenario = self.example("demo/serial.toml", ('name = "serial"', 'name = "careless_serial"'))
        done, said = self.kdpc("explore", scenario, "--seconds", "0", "--schedules", "20000", "--no-races")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("Failure: Bytes were lost or changed on the way, and nobody has counted them.", done.stdout)
        done, said = self.kdpc("replay", "serial.schedule")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)
        done, said = self.kdpc("explore", scenario)
        self.assertRegex(done.stdout, r"^Failure: data-race: ")

    def test_sound_is_explored_with_the_card_of_our_own(self):
        scenario = self.example("demo/on-time.toml", ("processors = 1", "processors = 2"))
        limits = ("--seconds", "0", "--schedules", "400", "--json", "--jobs", "1")
        done, said = self.kdpc("explore", scenario, *limits)
        self.assertEqual(done.returncode, 0, said)
        self.assertEqual(json.loads(done.stdout)["schedules"], 400, said)

    def test_an_application_that_is_refused_is_a_failure_and_is_seen_again(self):
        scenario = self.example("demo/serial.toml", ("COM1", "COM7"))
        done, said = self.kdpc("explore", scenario)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("Failure: The application's device \\\\.\\COM7 refused to be opened: STATUS_OBJECT_NAME_NOT_FOUND", done.stdout)
        self.assertIn("Found with schedule 1 ", done.stdout)
        done, said = self.kdpc("replay", "serial.schedule")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

    def test_a_card_is_pulled_out_if_it_is_asked_for(self):
        found = self.explored("gone_early_out")
        self.assertIn("bug check 0xc7 ", found["key"])
        self.assertRegex("\n".join(self.deviations(found["file"])), r"cpu0@\d+ board 1")
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)
        self.assertIn("From outside: card is pulled out\n", done.stdout)
        self.assertRegex(done.stdout, r"> card is pulled out +\[cpu0@\d+ board 1\]")

    def test_an_application_cancels_its_requests_if_it_is_asked_for(self):
        cancels = ("[expect]", "[explore]\ncancel = true\n[expect]")
        limits = ("--seconds", "0", "--schedules", "400", "--jobs", "1")
        for path, direction in (("demo/serial.toml", "receive ="), ("demo/serial.toml", "send ="), ("demo/on-time.toml", None)):
            change = ("receive =", direction) if direction else ("processors = 1", "processors = 2")
            done, said = self.kdpc("explore", self.example(path, cancels, change), *limits)
            self.assertEqual(done.returncode, 0, said)
        stubborn = ('name = "serial"', 'name = "stubborn_serial"')
        done, said = self.kdpc("explore", self.example("demo/serial.toml", stubborn), *limits)
        self.assertEqual(done.returncode, 0, said)
        done, said = self.kdpc("explore", self.example("demo/serial.toml", stubborn, cancels), *limits)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("Failure: Stuck: the application waits, and nothing will ever happen again.\n", done.stdout)
        self.assertIn("From outside: the application cancels its requests\n", done.stdout)
        self.assertRegex(done.stdout, r"> the application cancels its requests +\[cpu0@\d+ board 0\]")
        self.assertRegex("\n".join(self.deviations("serial.schedule")), r"^cpu0@\d+ board 0$")
        done, said = self.kdpc("replay", "serial.schedule")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

    def test_what_may_fail_fails_if_it_is_asked_for(self):
        scenario = pathlib.Path(self.root, "careless.toml")
        text = "duration_ms = 1\n[[drivers]]\nname = 'careless'\nparameters = { How = %d }\n"
        arguments = ("explore", "careless.toml", "--drivers", command.DRIVERS, "--seconds", "0", "--bound", "1")
        for how, failure in ((0, None), (1, "Failure: bug check"), (2, "Failure: bug check"), (3, "Failure: careless: this did not end: unload")):
            for more, asked in (((), ""), (("--faults",), ""), ((), "[explore]\nfaults = true\n")):
                scenario.write_text((text % how).replace("[[", asked + "[[", 1), encoding="utf-8")
                done, said = self.kdpc(*arguments, *more)
                expected = failure is not None and (more or asked)
                self.assertEqual(done.returncode, 1 if expected else 0, said)
                if not expected:
                    continue
                self.assertIn(failure, done.stdout)
                self.assertRegex(done.stdout, r"Made to fail: \w+, called by careless!\w+\+0x[0-9a-f]+ \(.*careless\.c:\d+\)")
                self.assertRegex(done.stdout, r"> what it calls fails +\[cpu\d@\d+ fail\]")
                self.assertRegex("\n".join(self.deviations("careless.schedule")), r"^cpu\d@\d+ fail$")
                done, said = self.kdpc("replay", "careless.schedule", "--drivers", command.DRIVERS)
                self.assertEqual(done.returncode, 1, said)
                self.assertIn("The same run, ", done.stdout)

    def test_a_request_that_is_forgotten_for_want_of_memory_keeps_the_application_waiting(self):
        scenario = self.example("demo/serial.toml", ('name = "serial"', 'name = "forgetful_serial"'))
        arguments = ("explore", scenario, "--seconds", "0", "--bound", "1", "--schedules", "2000", "--jobs", "1")
        done, said = self.kdpc(*arguments, "--faults")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("Failure: Stuck: the application waits, and nothing will ever happen again.\n", done.stdout)
        self.assertRegex(done.stdout, r"Made to fail: ExAllocatePool2, called by forgetful_serial!SerialRead\+")

    def test_what_is_expected_of_a_run_is_not_of_an_order(self):
        expecting = pathlib.Path(self.root, "expecting.toml")
        drivers = ("--drivers", os.path.join(command.BUILD, "drivers"))
        expecting.write_text(pathlib.Path(self.scenario("fifo_count_fixed")).read_text(encoding="utf-8")
                             + "[expect]\nfinding = 'lock-order'\n[checks]\nraces = 'suspected'\nbenign_races = true\n", encoding="utf-8")
        done, said = self.kdpc("run", expecting, *drivers)
        self.assertEqual(done.returncode, 1, said)
        done, said = self.kdpc("explore", expecting, *drivers, "--seconds", "0", "--schedules", "100")
        self.assertEqual(done.returncode, 0, said)
        expecting.write_text(pathlib.Path(self.scenario("fifo_count")).read_text(encoding="utf-8") + "[checks]\nraces = 'off'\n", encoding="utf-8")
        done, said = self.kdpc("explore", expecting, *drivers, "--seconds", "0", "--schedules", "100")
        self.assertEqual(done.returncode, 1, said)
        self.assertRegex(done.stdout, r"^Failure: data-race: ")

    def test_a_device_that_no_driver_is_given_is_told_and_no_failure(self):
        text = pathlib.Path(self.scenario("fifo_count_fixed")).read_text(encoding="utf-8")
        pathlib.Path(self.root, "a.toml").write_text(text + "[devices.spare]\nmodel = 'pulse'\n", encoding="utf-8")
        place = len(text.splitlines()) + 1
        warning = f"a.toml:{place}:1: no driver is given the device 'spare'"
        folder = os.path.join(command.BUILD, "drivers")
        for verb in (["run"], ["explore", "--seconds", "0", "--schedules", "5"]):
            done, said = self.kdpc(*verb, "a.toml", "--drivers", folder)
            self.assertEqual(done.returncode, 0, said)
            self.assertIn(f"Warning: {warning}\n", done.stdout, said)
            done, said = self.kdpc(*verb, "a.toml", "--drivers", folder, "--json")
            self.assertEqual(json.loads(done.stdout)["warnings"], [warning], said)

    def test_a_driver_that_does_not_hear_of_sleep_is_told_if_sleep_is_asked_for(self):
        sleeps = ("[expect]", "[explore]\npower = true\n[expect]")
        sleepless = ('name = "serial"', 'name = "sleepless_serial"')
        for changes, expected in (((sleeps,), False), ((sleepless,), False), ((sleeps, sleepless), True)):
            scenario = self.example("demo/serial.toml", *changes)
            place = 1 + pathlib.Path(self.root, scenario).read_text(encoding="utf-8").splitlines().index("[[drivers]]")
            warning = f"serial.toml:{place}:1: the driver 'sleepless_serial' has no routine for IRP_MJ_POWER, and does not hear that the system sleeps"
            arguments = ("explore", scenario, "--seconds", "0", "--schedules", "5", "--jobs", "1")
            done, said = self.kdpc(*arguments)
            self.assertEqual(done.returncode, 0, said)
            self.assertEqual(f"Warning: {warning}\n" in done.stdout, expected, said)
            done, said = self.kdpc(*arguments, "--json")
            self.assertEqual(json.loads(done.stdout).get("warnings", []), [warning] if expected else [], said)


if __name__ == "__main__":
    unittest.main()

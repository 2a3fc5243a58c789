#!/usr/bin/env python3
"""How kdpc explore ends when it is interrupted, when an exploring process dies, and when a run has no end; replay and shrink, interrupted."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

import command
import exploring


class Ends(exploring.Case):
    def test_an_interruption_ends_it_and_what_was_tried_is_told(self):
        for signal_ in (signal.SIGINT, signal.SIGTERM):
            running = subprocess.Popen([command.KDPC, "explore", self.scenario("fifo_count_fixed"), "--seconds", "100"], cwd=self.root, text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
            time.sleep(1)
            os.killpg(running.pid, signal_)  # as a terminal does: to the exploring processes too
            out, error = running.communicate(timeout=20)
            self.assertEqual(running.returncode, 130, out + error)
            self.assertRegex(out, r"^Interrupted. No failure in [1-9]\d* schedules, ")
        running = subprocess.Popen([command.KDPC, "explore", self.scenario("fifo_count_fixed"), "--seconds", "100", "--json"], cwd=self.root, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        time.sleep(1)
        os.killpg(running.pid, signal.SIGINT)
        self.assertTrue(json.loads(running.communicate(timeout=20)[0])["interrupted"])
        self.assertNotIn("interrupted", self.explored("fifo_count", "--no-races"))

    def interrupted(self, when, *arguments):
        """What is told by a command that is interrupted when when(pid) is true."""
        running = subprocess.Popen([command.KDPC, *arguments], cwd=self.root, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        while not when(running.pid):
            self.assertIsNone(running.poll(), arguments)
            time.sleep(0.001)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=200)
        self.assertEqual(running.returncode, 130, out + error)
        return out

    def test_an_interruption_leaves_what_was_found_and_no_run_that_was_cut_off(self):
        scenario = pathlib.Path(self.root, "long.toml")  # each run that fails takes long, so that nothing is over before it is interrupted
        scenario.write_text("duration_ms = 20000\n[[drivers]]\nname = 'brings_down'\nparameters = { How = 2 }\n", encoding="utf-8")
        drivers = ("--drivers", command.DRIVERS)
        again = ("replay", "long.schedule", *drivers)
        had_workers = False

        def listens(pid):
            return int(re.search(r"SigCgt:\s*([0-9a-f]+)", pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))[1], 16) >> 1 & 1 == 1

        def has_searched(pid):
            nonlocal had_workers
            workers = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
            had_workers = had_workers or workers != ""
            return had_workers and workers == ""

        out = self.interrupted(has_searched, "explore", "long.toml", *drivers, "--no-races", "--seconds", "0", "--jobs", "1")
        self.assertRegex(out, r"^Failure: no progress: ")
        self.assertIn("\nInterrupted: there may be deviations left that it does not need.\nTo see it again: kdpc replay long.schedule --drivers " + command.DRIVERS + "\n", out)
        done, said = self.kdpc(*again)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

        out = self.interrupted(listens, *again, "--likelihood")
        self.assertRegex(out, r"^Failure: no progress: ")
        self.assertIn("Interrupted: how likely this failure is was not found out.\n\nThe same run, ", out)
        self.assertNotIn(" %  cpu", out)

        self.added("long.schedule", "".join(f"cpu7@{step} hold\n" for step in range(1, 200)))
        out = self.interrupted(listens, "shrink", "long.schedule", *drivers)
        self.assertRegex(out, r"^Interrupted: there may be deviations left that it does not need\.\n\d+ deviations? instead of 200, after \d+ runs:")
        done, said = self.kdpc(*again)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

    def test_a_run_that_goes_on_long_after_the_time_is_over_is_given_up_and_no_failure(self):
        scenario = pathlib.Path(self.root, "long.toml")  # hours
        scenario.write_text("duration_ms = 1e8\n[[drivers]]\nname = 'brings_down'\nparameters = { How = 2 }\n", encoding="utf-8")
        arguments = ("explore", "long.toml", "--drivers", command.DRIVERS, "--seconds", "0.1", "--jobs", "2", "--no-races")
        done, said = self.kdpc(*arguments)
        self.assertEqual(done.returncode, 0, said)
        self.assertRegex(done.stdout, r"^No failure in 0 schedules, .*\nA run that was still under way was given up, as the time was over\.\n$")
        done, said = self.kdpc(*arguments, "--json")
        self.assertTrue(json.loads(done.stdout)["given_up"], said)
        done, said = self.kdpc("explore", self.scenario("fifo_count_fixed"), "--seconds", "0.1", "--json")
        self.assertNotIn("given_up", json.loads(done.stdout))

    def explored_down(self, how, *arguments):
        pathlib.Path(self.root, "down.toml").write_text(f"[[drivers]]\nname = 'brings_down'\nparameters = {{ How = {how} }}\n", encoding="utf-8")
        return self.kdpc("explore", "down.toml", "--drivers", command.DRIVERS, "--no-races", "--seconds", "0", *arguments)

    def test_a_process_that_dies_leaves_its_schedule(self):
        for jobs in ("1", "3"):
            done, said = self.explored_down(1, "--jobs", jobs)
            self.assertEqual(done.returncode, 70, said)
            self.assertIn("an exploring process has died (exit 3): ", done.stderr)
            self.assertRegex("\n".join(self.deviations("down.crash.schedule")), r"cpu0@\d+ clock 0")
            again = self.to_see_it_again(done.stderr)
            self.assertEqual(again, ["kdpc", "replay", "down.crash.schedule", "--drivers", command.DRIVERS])
            done, said = self.kdpc(*again[1:])
            self.assertEqual(done.returncode, 3, said)

    def test_an_endless_loop_ends_by_itself_and_is_a_failure(self):
        for how in (2, 3, 4):
            done, said = self.explored_down(how)
            self.assertEqual(done.returncode, 1, said)
            self.assertIn("brings_down.c", done.stdout)
            self.assertRegex(done.stdout, "Failure: (no progress: no end in sight|bug check 0x133|finding)")
            done, said = self.kdpc("replay", "down.schedule", "--drivers", command.DRIVERS)
            self.assertEqual(done.returncode, 1, said)
            self.assertIn("The same run, ", done.stdout)


if __name__ == "__main__":
    unittest.main()

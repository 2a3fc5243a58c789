#!/usr/bin/env python3
"""The rule checks as a user of the command meets them: the run ends at the mistake, the report says whose it is and what to do, and the exit code is 1."""
import unittest

import command

AS_EXPECTED, FINDING, BAD_INPUT = 0, 1, 2


def alone(name, extra=""):
    return f"duration_ms = 100\n[machine]\nprocessors = 2\n{extra}\n[[drivers]]\nname = '{name}'\n"


class Checks(command.Case):
    def test_a_finding_ends_the_run(self):
        run = self.run_scenario(alone("lock_order_bad"))
        self.assertEqual((run.code, run.report["verdict"]), (FINDING, "finding"), run.said)
        self.assertRegex(run.stdout, r"^Finding lock-order in lock_order_bad!TakeInDpc\+0x[0-9a-f]+ \(drivers/lock_order\.c:\d+\): The spin lock")
        self.assertIn("The usual fix: Take the locks in one order", run.stdout)
        finding, = run.report["findings"]
        self.assertEqual((finding["id"], finding["code"], finding["subcode"], finding["driver"]), ("lock-order", "0xc4", "0x1001", "lock_order_bad"))
        self.assertEqual([party["irql"] for party in finding["parties"]], [2, 2, 2, 2])
        self.assertTrue(all(party["stack"] for party in finding["parties"]))

    def test_keep_going_notes_it_and_goes_on(self):
        for run in (self.run_scenario(alone("lock_order_bad"), "--keep-going"),
                    self.run_scenario(alone("lock_order_bad", "[checks]\nmode = 'keep-going'\n"))):
            self.assertEqual((run.code, run.report["verdict"]), (FINDING, "finding"), run.said)
            self.assertEqual([each["id"] for each in run.report["findings"]], ["lock-order"])
            self.assertGreater(run.report["virtual_seconds"], 0.09)

    def test_an_expected_finding_is_as_expected(self):
        self.assertEqual(self.run_scenario(alone("lock_order_bad") + "[expect]\nfinding = 'lock-order'\n").code, AS_EXPECTED)
        self.assertEqual(self.run_scenario(alone("lock_order_good") + "[expect]\nfinding = 'none'\n").code, AS_EXPECTED)
        missed = self.run_scenario(alone("lock_order_good") + "[expect]\nfinding = 'lock-order'\n")
        self.assertEqual(missed.code, FINDING)
        self.assertIn("finding is none, expected lock-order", missed.stdout)

    def test_an_expected_race_is_as_expected(self):
        racing = ("[checks]\nraces = 'certain'\n[devices.card]\nmodel = 'pulse'\ncount = 6\n" +
                  alone("museum_two_locks_one_index").replace("duration_ms = 100\n", "") + "device = 'card'\n[expect]\nfinding = ")
        for expected, code in (("'data-race'", AS_EXPECTED), ("'data-race-freed'", FINDING)):
            run = self.run_scenario(racing + expected)
            self.assertEqual(run.code, code, run.said)

    def test_advice_fails_nothing(self):
        run = self.run_scenario(alone("dpc_budget_bad"))
        self.assertEqual((run.code, run.report["verdict"]), (AS_EXPECTED, "clean"), run.said)
        self.assertEqual([(each["id"], each["advice"]) for each in run.report["findings"]], [("dpc-budget", True)])
        self.assertIn("advice dpc-budget: A DPC has run for", run.stdout)
        quiet = self.run_scenario(alone("dpc_budget_bad", "[checks]\nlimits = { dpc = 1000 }\n"))
        self.assertEqual(quiet.report["findings"], [])

    def test_what_is_off_is_not_found(self):
        for checks in ("mode = 'off'", "off = ['lock-order']"):
            run = self.run_scenario(alone("lock_order_bad", f"[checks]\n{checks}\n"))
            self.assertEqual((run.code, run.report["findings"]), (AS_EXPECTED, []), run.said)

    def test_a_bug_check_has_its_history(self):
        run = self.run_scenario(alone("stop_wait_at_dispatch_bad"))
        self.assertEqual((run.code, run.report["verdict"]), (FINDING, "bugcheck"), run.said)
        finding, = run.report["findings"]
        self.assertEqual(finding["id"], "stop-wait-at-dispatch")
        self.assertIn("a spin lock that is held was acquired here", [party["role"] for party in finding["parties"]])

    def test_what_is_wrong_with_a_scenario_is_said(self):
        for checks, said in (("mode = 'on'", "'on' is no value of 'checks.mode'"), ("off = ['lock-oder']", "lock-oder"),
                             ("off = 'lock-order'", "must be a list"), ("limits = { dcp = 1 }", "dcp"), ("colour = 1", "colour")):
            run = self.run_scenario(alone("lock_order_good", f"[checks]\n{checks}\n"))
            self.assertEqual(run.code, BAD_INPUT, run.said)
            self.assertIn(said, run.stderr)


if __name__ == "__main__":
    unittest.main()

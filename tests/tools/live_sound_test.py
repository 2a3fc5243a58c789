#!/usr/bin/env python3
"""A deadline in real time: a sound card must be given more before it runs dry."""
import unittest

import command


@command.needs_sound
class LiveSound(command.Case):
    def test_with_nobody_in_the_way_the_deadline_is_kept(self):
        # Thirty periods instead of eight, and up to three times: whoever tests this has other things to do as well, now and then for longer than a deadline.
        for _ in range(3):
            run = self.run_scenario(command.example("live/on-time.toml", ("PeriodsAhead = 8", "PeriodsAhead = 30"), ("outstanding = 8", "outstanding = 31")))
            if run.code == 0:
                break
        self.assertEqual(run.code, 0, run.said)
        self.assertEqual(run.report["machine"]["kind"], "live")
        self.assertIn("was played without a drop-out", run.stdout)
        self.assertGreater(run.report["virtual_seconds"], 1.4)  # as long as the sound
        isr, = [each for each in run.report["isrs"] if each["routine"] == "Ac97Isr"]
        self.assertGreater(isr["count"], 100)

    def test_a_dpc_that_takes_longer_than_the_deadline_makes_it_missed_and_is_named(self):
        run = self.run_scenario(command.example("live/too-late.toml"))
        self.assertEqual(run.code, 0, run.said)
        self.assertEqual(run.report["verdict"], "dropouts")
        self.assertEqual((run.report["culprit"]["driver"], run.report["culprit"]["routine"]), ("hog", "HogRun"))
        hog, = [each for each in run.report["dpcs"] if each["routine"] == "HogRun"]
        self.assertEqual(hog["count"], 2)
        self.assertGreaterEqual(hog["max_with_interrupts_us"], 200_000)


if __name__ == "__main__":
    unittest.main()

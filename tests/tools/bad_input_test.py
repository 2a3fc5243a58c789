#!/usr/bin/env python3
"""Whatever is wrong is said, with the exit code that tells whose fault it is, and nothing hangs."""
import json
import os
import signal
import subprocess
import time
import unittest
import wave

import command

AS_EXPECTED, FINDING, BAD_INPUT, HOST_LACKS, INTERRUPTED = 0, 1, 2, 69, 130


def driver_alone(name, processors=1, extra=""):
    return f"duration_ms = 300\n[machine]\nprocessors = {processors}\n{extra}[[drivers]]\nname = '{name}'\n"


def write_wav(path, rate, seconds, channels=2):
    with wave.open(path, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join((n % 20000 + 1).to_bytes(2, "little") * channels for n in range(int(rate * seconds))))


class BadInput(command.Case):
    def refused(self, run, code, *said):
        self.assertEqual(run.code, code, run.said)
        for each in said:
            self.assertRegex(run.stderr, each)
        self.assertEqual(run.stdout, "", "a refusal is no result")
        self.assertNotIn("simulator bug", run.stderr)

    def test_unknown_key(self):
        self.refused(self.run_scenario("[machine]\nprocesors = 2\n"), BAD_INPUT, r"a\.toml:2:1: .*'procesors'.* did you mean 'processors'\?")

    def test_wrong_type(self):
        self.refused(self.run_scenario("[machine]\nprocessors = 'two'\n"), BAD_INPUT, r"a\.toml:2:14: .*whole number.*a string")

    def test_wrong_option_and_cost(self):
        self.refused(self.run_scenario("[options]\nirql_checks = 'lax'\n[costs]\nisr_entri = 3\n"), BAD_INPUT, r"a\.toml:2:\d+: 'lax'.*strict", r"a\.toml:4:\d+: .*'isr_entry'")

    def test_wrong_expectations(self):
        self.refused(self.run_scenario("[expect]\nbugcheck = 'DPC_WATCHDOG_VIOLATON'\n"), BAD_INPUT, r"a\.toml:2:\d+: .*did you mean 'DPC_WATCHDOG_VIOLATION'\?")
        self.refused(self.run_scenario(command.playing(extra="[expect]\nculprit = 'hog'")), BAD_INPUT, r"'hog' is no driver of this scenario.*ac97, nt and none")

    def test_every_mistake_is_a_line_that_begins_alike(self):
        run = self.run_scenario("titel = 'a'\n[machine]\nprocesors = 2\n")
        self.refused(run, BAD_INPUT)
        for line in run.stderr.splitlines():
            self.assertRegex(line, r"^kdpc: .*a\.toml:\d+:\d+: ")

    def test_not_toml(self):
        self.refused(self.run_scenario("[machine\n"), BAD_INPUT, r"a\.toml:1:\d+: this is not TOML")

    def test_no_such_scenario(self):
        done = subprocess.run([command.KDPC, "run", "/nowhere/at/all.toml"], capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (BAD_INPUT, ""))
        self.assertIn("/nowhere/at/all.toml: there is no such scenario file", done.stderr)

    def test_bad_usage(self):
        for arguments, said in ((["run"], "needs a scenario"), (["rnu", "a.toml"], "there is no command 'rnu'"), ([], "kdpc run SCENARIO.toml"),
                                (["--jsn", "run"], "no option '--jsn'"), (["run", os.curdir], "a folder"), (["run", "a", "b"], "'kdpc run' does not know what this means: b\n"),
                                (["explore", "a.toml", "--secnds", "1"], "'kdpc explore' does not know what this means: --secnds 1\n"),
                                (["rnu", "a.toml"], "'kdpc --help' says what can be asked"), (["replay"], "'kdpc replay --help' says what can be asked"),
                                (["run", "a.toml", "--jsn"], "--jsn")):
            done = subprocess.run([command.KDPC, *arguments], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (BAD_INPUT, ""), arguments)
            self.assertIn(said, done.stderr)

    def test_help_and_version(self):
        for arguments in (["--help"], ["run", "--help"], ["--version"]):
            done = subprocess.run([command.KDPC, *arguments], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (AS_EXPECTED, ""))
            self.assertIn("kdpc", done.stdout)

    def test_missing_recording(self):
        self.refused(self.run_scenario(command.playing(play="none.wav")), BAD_INPUT, r"a\.toml:\d+:\d+: there is no recording .*none\.wav")

    def test_recording_that_is_none(self):
        folder = self.folder()
        with open(os.path.join(folder, "text.wav"), "w", encoding="utf-8") as file:
            file.write("this is no sound\n")
        self.refused(command.Run(command.playing(play="text.wav"), folder), BAD_INPUT, r"text\.wav cannot be read")

    def test_wrong_rate(self):
        folder = self.folder()
        write_wav(os.path.join(folder, "cd.wav"), 44100, 0.1)
        self.refused(command.Run(command.playing(play="cd.wav"), folder), BAD_INPUT, r"a\.toml:\d+:\d+: .*44100 frames a second.*48000")

    def test_missing_qemu(self):
        folder = self.folder()
        write_wav(os.path.join(folder, "a.wav"), 48000, 0.1)
        run = command.Run(command.playing(play="a.wav"), folder, environment={"KDPC_QEMU": "/nowhere/qemu"})
        self.refused(run, HOST_LACKS, "/nowhere/qemu", "apt-get install qemu-system-xen")

    def test_something_that_is_no_qemu(self):
        folder = self.folder()
        write_wav(os.path.join(folder, "a.wav"), 48000, 0.1)
        self.refused(command.Run(command.playing(play="a.wav"), folder, environment={"KDPC_QEMU": "/bin/false"}), HOST_LACKS, "QEMU died")

    def test_unknown_driver(self):
        self.refused(self.run_scenario(driver_alone("hgo")), BAD_INPUT, r"a\.toml:\d+:\d+: there is no driver hgo\.drv in .*did you mean 'hog'\?")

    def test_file_that_is_no_driver(self):
        folder = self.folder()
        with open(os.path.join(command.DRIVERS, "hog.drv"), "rb") as file:
            beginning = file.read()[:5000]
        for name, content in (("text.drv", b"This is not an ELF file.\n" * 100), ("empty.drv", b""), ("cut.drv", beginning)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
            self.refused(command.Run(f"[[drivers]]\nfile = '{name}'\n", folder), BAD_INPUT, rf"a\.toml:1:\d+: .*{name}")

    def test_library_that_is_no_driver(self):
        self.refused(self.run_scenario("[[drivers]]\nfile = '/bin/true'\n"), BAD_INPUT, r"/bin/true")

    def test_missing_exports_are_all_named(self):
        self.refused(self.run_scenario(driver_alone("image_missing_exports")), BAD_INPUT, r"a\.toml:\d+:\d+: .*NtKdpcFirstMissing.*NtKdpcSecondMissing")

    def test_out_folder_that_cannot_be(self):
        folder = self.folder()
        with open(os.path.join(folder, "out"), "w", encoding="utf-8") as file:
            file.write("in the way")
        self.refused(command.Run("duration_ms = 1\n", folder), BAD_INPUT, "cannot be made")


class Findings(command.Case):
    def found(self, run, verdict, *said):
        self.assertEqual(run.code, FINDING, run.said)
        self.assertIsNotNone(run.report, run.said)
        self.assertEqual(run.report["verdict"], verdict, run.said)
        for each in said:
            self.assertRegex(run.stdout, each)

    def bugcheck(self, name, code, *, line=True, **options):
        """The driver's line that is marked as the culprit is named, as file:line, in the first line of the report."""
        run = self.run_scenario(driver_alone(name, **options))
        self.found(run, "bugcheck")
        self.assertEqual(int(run.report["bugcheck"]["code"], 16), code, run.said)
        self.assertEqual(len(run.report["bugcheck"]["parameters"]), 4)
        self.assertTrue(all(each["meaning"] for each in run.report["bugcheck"]["parameters"]))
        self.assertTrue(run.report["bugcheck"]["sentence"])
        self.assertIn(name, run.report["bugcheck"]["driver"])
        with open(os.path.join(os.path.dirname(__file__), "..", "drivers", name + ".c"), encoding="utf-8") as file:
            culprits = [number for number, text in enumerate(file, 1) if "/* culprit */" in text]
        if line and culprits:
            named = run.report["bugcheck"]["line"]
            self.assertTrue(any(abs(named - each) <= 1 for each in culprits), f"line {named} is named, line {culprits} it is\n{run.said}")
            self.assertRegex(run.stdout.splitlines()[0], rf"{name}\.c:{named}\b")
        return run

    def test_driver_entry_fails(self):
        run = self.run_scenario("[[drivers]]\nname = 'hog'\nparameters = { Mode = 9 }\n")
        self.found(run, "driver-refused", r"hog: DriverEntry failed with STATUS_INVALID_PARAMETER \(0xC000000D\)")

    def test_what_a_driver_prints_is_shown_with_time_processor_and_irql(self):
        run = self.run_scenario("[[drivers]]\nname = 'ac97'\nparameters = { PeriodsAhead = 1 }\n")
        self.found(run, "driver-refused", r"(?m)^ +\d+\.\d{3} ms  p0 irql 0 +ac97: PeriodFrames 480 or PeriodsAhead 1 is out of range$")
        self.assertEqual(run.report["debug"][0]["text"], "ac97: PeriodFrames 480 or PeriodsAhead 1 is out of range")

    def test_a_driver_bugchecks(self):
        run = self.bugcheck("bad_bugcheck", 0xE2)
        self.assertEqual([int(each["value"], 16) for each in run.report["bugcheck"]["parameters"]], [1, 2, 3, 4])

    def test_a_dpc_spins_for_ever(self):
        run = self.bugcheck("bad_spin_in_dpc", 0x133, extra="[options]\ndpc_time_limit = 20\n")
        self.assertEqual(int(run.report["bugcheck"]["parameters"][0]["value"], 16), 0)
        self.assertIn("borrowed", run.stdout)

    def test_a_thread_spins_for_ever_at_dispatch(self):
        run = self.bugcheck("bad_spin_in_thread", 0x133, extra="[options]\ndpc_watchdog_period = 30\n")
        self.assertEqual(int(run.report["bugcheck"]["parameters"][0]["value"], 16), 1)

    def test_a_queued_dpc_is_freed(self):
        self.bugcheck("bad_free_queued_dpc", 0xC7)

    def test_a_stack_overflows(self):
        self.bugcheck("bad_stack_in_dpc", 0x7F, line=False)
        self.bugcheck("bad_stack_in_thread", 0x7F, line=False)

    def test_a_dpc_waits(self):
        self.bugcheck("bad_wait_in_dpc", 0xB8)

    def test_a_lock_is_taken_twice(self):
        self.bugcheck("bad_lock_twice", 0x0F)

    def test_a_wild_pointer(self):
        self.bugcheck("bad_pointer", 0xD1)

    def test_a_deadlock_is_explained(self):
        run = self.run_scenario(driver_alone("bad_deadlock", processors=2))
        self.found(run, "deadlock", r"(?m)^Deadlock: .* bad_deadlock!TakeBoth.*bad_deadlock\.c:\d+", r"processor 0 waits for the lock", r"processor 1 waits for the lock")

    def test_an_unloading_that_never_ends_is_stuck(self):
        run = self.run_scenario(driver_alone("bad_wait_in_unload"))
        self.found(run, "stuck", r"^Stuck: the driver bad_wait_in_unload waits while it is removed, and nothing will ever happen again\.",
                   r"waits for the notification event at bad_wait_in_unload!Event", r"bad_wait_in_unload\.c:8")

    def test_a_bugcheck_can_be_expected(self):
        run = self.run_scenario(driver_alone("bad_lock_twice") + "[expect]\nbugcheck = 'SPIN_LOCK_ALREADY_OWNED'\n")
        self.assertEqual((run.code, run.report["verdict"]), (AS_EXPECTED, "bugcheck"), run.said)
        run = self.run_scenario(driver_alone("bad_lock_twice") + "[expect]\nbugcheck = 0x133\n")
        self.assertEqual(run.code, FINDING, run.said)
        run = self.run_scenario(driver_alone("hog") + "[expect]\nbugcheck = 0x133\n")
        self.assertEqual((run.code, run.report["verdict"]), (FINDING, "clean"), run.said)

    def test_a_quiet_run_is_clean(self):
        run = self.run_scenario(driver_alone("hog"), "--json", "--trace")
        self.assertEqual(run.code, AS_EXPECTED, run.said)
        self.assertEqual(json.loads(run.stdout), run.report)
        with open(os.path.join(run.out, "trace.txt"), encoding="utf-8") as file:
            lines = file.readlines()
        self.assertGreater(len(lines), 50)
        for line in lines:
            self.assertRegex(line, r"^ *\d+\.\d{3} \d{3} ms +p\d+ +\d+ \w+ +t\d+ +[a-z-]+")


@command.needs_sound
class Sound(command.Case):
    def begin(self, scenario, *arguments):
        folder = self.folder()
        write_wav(os.path.join(folder, "long.wav"), 48000, 60)
        path = os.path.join(folder, "a.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(scenario)
        out = os.path.join(folder, "out")
        process = subprocess.Popen([command.KDPC, "run", path, "--out", out, "--json", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        # Sound is being written.
        for _ in range(600):
            if os.path.exists(os.path.join(out, "out.wav")) and os.path.getsize(os.path.join(out, "out.wav")) > 200000:
                return process
            self.assertIsNone(process.poll(), process.returncode)
            time.sleep(0.05)
        self.fail("it does not play")

    def test_qemu_is_killed_in_the_middle(self):
        process = self.begin(command.playing(play="long.wav"))
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as file:
            qemu = int(file.read().split()[0])
        os.kill(qemu, signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, FINDING, out)
        report = json.loads(out)
        self.assertEqual(report["verdict"], "device-died")
        self.assertRegex(report["explanation"], r"QEMU died: killed by signal 9")

    def test_interrupted_after_writing_what_there_is(self):
        process = self.begin(command.playing(play="long.wav"))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, out)
        report = json.loads(out)
        self.assertEqual(report["verdict"], "interrupted")
        self.assertGreater(report["sound"]["equal_frames"], 10000)

    def test_the_time_limit(self):
        run = self.run_scenario(command.playing().replace("time_limit_ms = 100000", "time_limit_ms = 300"))
        self.assertEqual((run.code, run.report["verdict"]), (FINDING, "time-limit"), run.said)

    def test_a_device_nobody_made(self):
        run = self.run_scenario(command.playing().replace("Ac97_0", "Nothing"))
        self.assertEqual((run.code, run.report["verdict"]), (FINDING, "application-refused"), run.said)
        self.assertIn("STATUS_OBJECT_NAME_NOT_FOUND", run.report["sentence"])
        self.assertRegex(run.report["explanation"], r"\bAc97_0\b")

    def test_an_expectation_is_missed(self):
        run = self.run_scenario(command.playing(extra="[expect]\ndropouts = '>0'\nculprit = 'ac97'"))
        self.assertEqual((run.code, run.report["verdict"]), (FINDING, "clean"), run.said)
        self.assertIn("Not as expected: dropouts is 0, expected >0", run.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

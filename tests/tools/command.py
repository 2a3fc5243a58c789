"""Runs the command as a user does, for the tests of this folder: each takes the build folder as its first argument."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "."
KDPC = os.path.join(BUILD, "bin", "kdpc")
DRIVERS = os.path.join(BUILD, "drivers")
VOICE = "/usr/share/sounds/alsa/Front_Center.wav"  # Debian's alsa-utils: 48 kHz, one channel, 1.4 s
QEMU = "/usr/libexec/xen-qemu-system-i386"

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")

HOG = {"FirstMs": 400, "PeriodMs": 500, "Count": 1, "RunUs": 45000, "Processor": 0}


def value(item):
    if isinstance(item, dict):
        return "{ " + ", ".join(f"{key} = {value(each)}" for key, each in item.items()) + " }"
    return str(item) if isinstance(item, int) else "'" + item + "'"


def playing(*neighbours, processors=1, play=VOICE, timer_period_us=500, sound_first=True, extra="", workload=""):
    """A scenario that plays; a neighbour is a driver's name and its parameters."""
    sound = '[[drivers]]\nname = "ac97"\ndevice = "sound"\n'
    others = "".join(f"[[drivers]]\nname = '{name}'\nparameters = {value(parameters)}\n" for name, parameters in neighbours)
    return (f"time_limit_ms = 100000\n[machine]\nprocessors = {processors}\n"
            f"[devices.sound]\nmodel = 'AC97'\ntimer_period_us = {timer_period_us}\n"
            + (sound + others if sound_first else others + sound)
            + f"[workload]\nplay = '{play}'\nopens = '\\\\.\\Ac97_0'\n{workload}\n{extra}\n")


def example(path, *changes):
    """A scenario of examples/, with other words instead of some of its own, which must be there."""
    with open(os.path.join(EXAMPLES, path), encoding="utf-8") as file:
        text = file.read()
    for before, after in changes:
        if before not in text:
            raise ValueError(f"{path} does not say: {before}")
        text = text.replace(before, after)
    return text


class Run:
    """One run in a folder of its own: exit code, what it said, its report."""

    def __init__(self, scenario, folder, *arguments, environment=None, name="a.toml", timeout=300):
        self.folder = folder
        self.out = os.path.join(folder, "out")
        self.scenario = os.path.join(folder, name)
        with open(self.scenario, "w", encoding="utf-8") as file:
            file.write(scenario)
        done = subprocess.run([KDPC, "run", self.scenario, "--out", self.out, *arguments], cwd=folder, stdin=subprocess.DEVNULL, check=False,
                              env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=timeout)
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        path = os.path.join(self.out, "report.json")
        self.report = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.report = json.load(file)
        self.wav = os.path.join(self.out, "out.wav")

    @property
    def said(self):
        return f"exit {self.code}\n{self.stdout}\n{self.stderr}"


class Case(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="kdpc-test-")
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.runs = 0

    def folder(self):
        self.runs += 1
        path = os.path.join(self.root, f"run {self.runs}")
        os.mkdir(path)
        return path

    def run_scenario(self, scenario, *arguments, **options):
        return Run(scenario, self.folder(), *arguments, **options)


def needs_sound(case):
    """Without a recording and without QEMU there is nothing to hear: a failure, since this project names the packages that have them."""
    missing = [path for path in (VOICE, QEMU) if not os.path.exists(path)]
    if missing:
        case.setUp = lambda self: self.fail(f"missing: {', '.join(missing)} (Debian packages alsa-utils and qemu-system-xen)")
    return case

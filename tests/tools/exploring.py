"""What the tests of kdpc explore, replay and shrink share: the command, run as a user does, on drivers of the museum."""
import json
import os
import pathlib
import re
import shlex
import subprocess

import command

MUSEUM = os.path.join(command.BUILD, "museum")


class Case(command.Case):
    def kdpc(self, *arguments):
        done = subprocess.run([command.KDPC, *arguments], cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False)
        return done, f"kdpc {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"

    def scenario(self, name):
        return os.path.join(MUSEUM, f"{name}.toml")

    def explored(self, name, *arguments, code=1):
        """A campaign that ends by itself, so that it is the same every time; as JSON."""
        done, said = self.kdpc("explore", self.scenario(name), "--seconds", "0", "--schedules", "3000", "--json", *arguments)
        self.assertEqual(done.returncode, code, said)
        return json.loads(done.stdout)

    def example(self, path, *changes):
        name = os.path.basename(path)
        pathlib.Path(self.root, name).write_text(command.example(path, *changes), encoding="utf-8")
        return name

    def added(self, file, lines):
        path = pathlib.Path(self.root, file)
        path.write_text(path.read_text(encoding="utf-8") + lines, encoding="utf-8")

    def deviations(self, file):
        return [line for line in pathlib.Path(self.root, file).read_text(encoding="utf-8").splitlines() if line.startswith(("late", "cpu", "pick"))]

    def to_see_it_again(self, said):
        """The words of the command that is said to do so."""
        return shlex.split(re.search(r"To see it again: (.*)", said)[1])

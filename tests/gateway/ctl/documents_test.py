"""The manual page and the shell completion of sluicectl know every command and option that the program has, and no other."""

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(os.environ["SLUICE_SOURCE"])
PROGRAM = Path(os.environ["SLUICE_BIN"]) / "sluicectl"
COMPLETION = SOURCE / "packaging/completions/sluicectl.bash"


def help_of(command):
    done = subprocess.run([PROGRAM, *command, "--help"], capture_output=True, text=True, check=True)
    options = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", done.stdout, re.M))
    part = done.stdout.split("Subcommands:")[-1] if "Subcommands:" in done.stdout else ""
    commands = re.findall(r"^  ([a-z-]+)", part.split("\n\n")[0], re.M)
    return options - {"--help"}, commands


def all_commands(command=()):
    options, subcommands = help_of(command)
    yield command, options
    for name in subcommands:
        yield from all_commands((*command, name))


def complete(words):
    """What bash would offer for the last word."""
    script = f'source {COMPLETION}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluicectl; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script, "bash", "sluicectl", *words], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


class Documents(unittest.TestCase):
    def setUp(self):
        self.commands = dict(all_commands())

    def test_the_program_was_understood(self):
        self.assertIn(("cloud", "events"), self.commands)
        self.assertIn("--type", self.commands["cloud", "events"])

    def test_manual(self):
        text = (SOURCE / "packaging/man/sluicectl.1").read_text()
        documented = {"--" + name for name in re.findall(r"Fl -([a-z-]+)", text)} - {"--help"}
        self.assertEqual(documented, set().union(*self.commands.values()))
        for command in self.commands:
            if command and not any(len(other) > len(command) and other[:len(command)] == command
                                   for other in self.commands):
                self.assertIn(".It Cm " + " ".join(command), text)

    @unittest.skipUnless(shutil.which("groff"), "groff is missing")
    def test_manuals_are_well_formed(self):
        for page in sorted((SOURCE / "packaging/man").iterdir()):
            done = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page.name)

    def test_completion(self):
        everywhere = {"--help"} | self.commands[()]
        for command, options in self.commands.items():
            subcommands = {other[-1] for other in self.commands if other[:-1] == command and other}
            inherited = self.commands[command[:1]] if command[:1] in (("cloud",), ("listener",)) else set()
            self.assertEqual(complete([*command, ""]), everywhere | options | inherited | subcommands, command)

    def test_completion_looks_through_options(self):
        self.assertEqual(complete(["--socket", "/x", "--json", "st"]), {"status"})
        self.assertEqual(complete(["cloud", "--run-json", "r.json", "events", "--fr"]), {"--from"})
        self.assertEqual(complete(["cloud", "events", "--from", "i"]), {"inventory"})


if __name__ == "__main__":
    unittest.main()

"""Starts the program of this folder with the words in mindlift_boot.json: those that a service can't pass on.

MindLift puts it beside the program. Python 3.7, and nothing but its library.
"""

import json
import os
import sys


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "mindlift_boot.json"), encoding="utf-8") as file:
        note = json.load(file)
    if "command" in note:
        words = ["/bin/sh", "-c", note["command"]]
        os.environ["MINDLIFT_CODE"] = here
    else:
        words = [sys.executable, os.path.join(here, note["boot_file"])] + note["args"] + sys.argv[1:]
    if "keep" not in note:
        os.execv(words[0], words)
    sys.path.insert(0, os.path.join(here, ".mindlift"))
    from mindlift.program.__main__ import main as run

    return run(note["keep"] + ["--"] + words)


if __name__ == "__main__":
    sys.exit(main())

"""complete.py SHELL PROGRAM WORD...: what the last word can become, one a line. completion.sh asks it at each TAB."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1] / "src")


def main() -> int:
    from mindlift.cli import completion

    shell, program, *words = sys.argv[1:]
    words = completion.joined(words) if shell == "bash" else words
    if program == "cloud/submit.py":
        from mindlift.cli.job_completion import candidates

        found = candidates(words)
    else:
        found = completion.candidates(program, words)
    for each in found:
        print(completion.after_break(each, words[-1]) if shell == "bash" else each)
    return 0


if __name__ == "__main__":
    sys.exit(main())

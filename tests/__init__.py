"""Tests of MindLift."""

import os

os.environ["MINDLIFT_LANG"] = "en"  # what programs say is compared, whatever this computer's language is

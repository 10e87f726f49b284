"""What the keys of a job file do on ModelArts; see src/mindlift/cloud/prepare/effects.py."""

from __future__ import annotations

from mindlift.cloud.job import FIELDS
from mindlift.cloud.prepare.effects import NO_EFFECT, REFUSED, SENT

OPENI = f"{NO_EFFECT}only OpenI has it"
EFFECTS = {
    **dict.fromkeys(FIELDS, SENT),
    "platform": f"{NO_EFFECT}the engine decides",
    "python": f"{NO_EFFECT}only a rehearsal reads it",
    "rehearsal_args": f"{NO_EFFECT}only a rehearsal reads it",
    "isolation": f"{NO_EFFECT}only a rehearsal reads it",
    "restart": f"{NO_EFFECT}ModelArts chooses where a job starts again",
    "repo": f"{NO_EFFECT}the commit that is checked out is sent",
    "branch": f"{NO_EFFECT}the commit that is checked out is sent",
    "cluster": OPENI,
    "spec": f"{REFUSED}ModelArts has no specs; set flavor",
    "datasets": f"{REFUSED}ModelArts brings data by its URL; set data_url",
    "models": f"{REFUSED}ModelArts brings models by their URL; set pretrained",
}

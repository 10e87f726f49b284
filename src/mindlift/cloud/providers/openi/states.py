"""The words of both of OpenI's clusters as our phases. Pure."""

from __future__ import annotations

from mindlift.cloud.states import Phase

# 启智 is ModelArts v1: its states by number, which OpenI's server turns into words
NUMBERED = (
    "UNKNOWN INIT IMAGE_CREATING IMAGE_FAILED SUBMIT_TRYING SUBMIT_FAILED DELETE_FAILED WAITING RUNNING KILLING "
    "COMPLETED FAILED KILLED CANCELED LOST SCALING SUBMIT_MODEL_FAILED DEPLOY_SERVICE_FAILED CHECK_INIT "
    "CHECK_RUNNING CHECK_RUNNING_COMPLETED CHECK_FAILED"
).split()
NOT_CREATED = ("PREPARING", "CONNECTING")  # the cluster was not told yet, or did not answer
BEFORE_IT_RUNS = (
    "INIT IMAGE_CREATING SUBMIT_TRYING CHECK_INIT CHECK_RUNNING CHECK_RUNNING_COMPLETED CREATING STARTING"
)
# the server's own list of ended jobs has FAILED, CREATED_FAILED, CREATE_FAILED and START_FAILED of these
FAILURES = (
    "FAILED CREATED_FAILED CREATE_FAILED START_FAILED IMAGE_FAILED SUBMIT_FAILED SUBMIT_MODEL_FAILED "
    "DEPLOY_SERVICE_FAILED CHECK_FAILED DELETE_FAILED LOST"
)
WORDS = {
    Phase.QUEUED: ("WAITING", "PENDING"),
    Phase.STARTING: (*NOT_CREATED, *BEFORE_IT_RUNS.split()),
    Phase.RUNNING: ("RUNNING", "SCALING"),
    Phase.STOPPING: ("STOPPING", "KILLING"),
    Phase.SUCCEEDED: ("SUCCEEDED", "COMPLETED"),
    Phase.FAILED: (*FAILURES.split(),),
    Phase.STOPPED: ("STOPPED", "KILLED", "CANCELED"),
}
PHASES = {word: phase for phase in WORDS for word in WORDS[phase]}


def phase_of(word: str) -> Phase:
    """UNKNOWN for words that mean nothing in training, such as RESIZING of a notebook."""
    is_number = word.isdecimal() and int(word) < len(NUMBERED)
    return PHASES.get(NUMBERED[int(word)] if is_number else word.upper(), Phase.UNKNOWN)

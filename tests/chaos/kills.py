"""Processes that are killed, stopped or asked to end. Each scenario returns whether a line came before the end."""

from __future__ import annotations

import signal

from tests.chaos import moments
from tests.chaos.jobs import Attempt, BucketJob, Job
from tests.chaos.moments import Moment
from tests.chaos.points import Point
from tests.chaos.trainings import DROPOUT, ONE, TWO

HERE = ("start", "steps", "save", "end")


def one_rank(point: Point) -> bool:
    job, moment = point.job(), moments.draw(point.rng, point.index, HERE)
    point.say(moment)
    killed(job, moment)
    return job.ends_as_the_whole()


def dropout(point: Point) -> bool:
    job, moment = point.job(DROPOUT), moments.draw(point.rng, point.index, ("steps", "save"))
    moment = Moment(moment.phase, 3 + moment.step % 3, moment.share)  # masks are drawn before and after it
    point.say(moment)
    killed(job, moment)
    return job.ends_as_the_whole()


def two_ranks(point: Point) -> bool:
    """All at once; one rank, whose launcher ends the other; or the launcher, which can't end anybody any more."""
    job, moment = point.job(TWO), moments.draw(point.rng, point.index, HERE)
    victim = point.rng.choice(["all", "rank 0", "rank 1", "launcher"])
    point.say(moment, victim)
    attempt = job.start()
    moment.await_in(job, attempt)
    said = False
    if victim == "all":
        attempt.send(signal.SIGKILL)
        attempt.wait()
    elif victim == "launcher":
        attempt.send(signal.SIGKILL, attempt.process.pid)
        attempt.process.wait()
    else:
        send_to_rank(attempt, signal.SIGKILL, int(victim[-1]))
        said = attempt.has_said_why()
    # ranks without their launcher may end the run before the next ones look for one to continue
    return job.ends_as_the_whole(keeps=victim != "launcher") or said


def empty_disk(point: Point) -> bool:
    """Nothing is left but the bucket. Where it was, the killed job may have had the same place until just now."""
    kind = TWO if point.index in (1, 7) else ONE
    job, moment = point.bucket_job(kind), moments.draw(point.rng, point.index)
    point.say(moment, kind.name)
    killed(job, moment)
    job.lose_disk()
    return job.ends_as_the_whole()


def two_nodes(point: Point) -> bool:
    """The same job twice: started together; taken over from one that hangs and wakes up; or from one that was killed."""
    how = ("together", "stopped", "killed", "in one folder")[point.index % 4]
    first = point.job() if how == "in one folder" else point.bucket_job()
    moment = moments.draw(point.rng, point.rng.randint(0, 1), ("start", "steps"))
    point.say(how, moment)
    one = first.start()
    moment.await_in(first, one)
    second = point.kept(first.on_another_node("other")) if isinstance(first, BucketJob) else first
    if how == "stopped":
        one.send(signal.SIGSTOP)
        one.sent = 0  # it is to end by itself
    if how == "killed":
        one.send(signal.SIGKILL)
    other = second.start()
    said = [other.has_said_why()]
    if how == "stopped":
        one.send(signal.SIGCONT)
        one.sent = 0
    said.append(one.has_said_why())
    for job, attempt in ((first, one), (second, other)):
        if attempt.wait() == 0:
            job.check(attempt)
    return second.ends_as_the_whole() or any(said)


def sigterm(point: Point) -> bool:
    return asked_to_end(point, signal.SIGTERM)


def sighup(point: Point) -> bool:
    return asked_to_end(point, signal.SIGHUP)


def asked_to_end(point: Point, number: signal.Signals) -> bool:
    """A rank of two, their launcher, or everything, as by a terminal that is closed."""
    receiver = ("rank 0", "rank 1", "launcher", "alone")[point.index % 4]
    moment = moments.draw(point.rng, point.index + point.index // 4 + 1, HERE)
    job = point.job(ONE if receiver == "alone" else TWO)
    point.say(moment, receiver)
    attempt = job.start()
    moment.await_in(job, attempt)
    if receiver.startswith("rank"):
        send_to_rank(attempt, number, int(receiver[-1]))
    else:
        attempt.send(number, attempt.process.pid if receiver == "launcher" else 0)
    said = attempt.has_said_why()
    return job.ends_as_the_whole() or said


def sigstop(point: Point) -> bool:
    """One rank hangs for some seconds, which changes nothing; or all do, and are killed."""
    goes_on = point.index % 3 != 2
    job, moment = point.job(TWO if point.index % 3 == 1 else ONE), moments.draw(point.rng, point.index, HERE)
    point.say(moment, "goes on" if goes_on else "is killed")
    attempt = job.start()
    moment.await_in(job, attempt)
    ranks = attempt.ranks()
    pid = point.rng.choice(sorted(ranks.values()))
    attempt.send(signal.SIGSTOP, pid)
    moments.pause(point.rng.uniform(1, 8), attempt)
    if not goes_on:
        attempt.send(signal.SIGKILL)
        attempt.wait()
        return job.ends_as_the_whole()
    attempt.send(signal.SIGCONT, pid)
    attempt.sent = 0
    assert not attempt.has_said_why(), attempt.describe()
    job.check(attempt)
    return False


def killed(job: Job, moment: Moment) -> None:
    attempt = job.start()
    moment.await_in(job, attempt)
    attempt.send(signal.SIGKILL)
    attempt.wait()


def send_to_rank(attempt: Attempt, number: signal.Signals, rank: int) -> None:
    """At the very start the rank may not be there yet: then its launcher is meant."""
    attempt.send(number, attempt.ranks().get(rank, attempt.process.pid))

"""Classify images: `python predict.py --help` lists the options."""

from __future__ import annotations

from mindlift.cli.words import words


def predict(argv: list[str]) -> None:
    from mindlift.api import inference_job, job

    cfg = job.read(argv, "predict.py")
    inference_job.check_named(cfg, "predict.py")
    here = inference_job.start(cfg, "predict.py")
    images = inference_job.images(cfg, cfg.inputs)
    names = inference_job.class_names(here.cfg)
    checkpoint = None if here.cfg.model_file else here.weights().files[0]
    here.connect()
    from mindlift.inference import predict as predictor
    from mindlift.runs.log import RunLog

    with RunLog(None, here.ranks.rank, here.cfg.progress) as log:
        predictor.run(here.context(log), images, names, checkpoint)


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli import program

    arguments = words(argv)
    return program.main(lambda: predict(arguments), debug=program.wants_debug(arguments))

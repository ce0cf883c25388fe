"""``make worker``: background jobs and their timetable. ``python -m vutler.worker``."""

import os
import sys


def work() -> None:
    """Run Celery's worker with beat until SIGTERM; further arguments go to Celery."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vutler.settings")
    from vutler import env
    from vutler.celery import app
    from vutler.startup import refuse

    if not env.REDIS_URL:
        refuse(
            "REDIS_URL is not set. The worker takes its jobs from Redis: set it for the servers and the worker alike, "
            "for example REDIS_URL=redis://127.0.0.1:6379/0."
        )
    timetable = env.VAR_DIR / "celerybeat-schedule"
    app.worker_main(["worker", "--beat", f"--schedule={timetable}", "--loglevel=INFO", *sys.argv[1:]])


if __name__ == "__main__":
    from vutler.startup import or_refuse

    or_refuse(work)

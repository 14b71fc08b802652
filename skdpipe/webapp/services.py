"""What the requests share while the application runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from skdpipe.cache import PoseCache
from skdpipe.errors import SkdpipeError
from skdpipe.webapp.cache_index import CacheIndex
from skdpipe.webapp.live_session import LiveSession
from skdpipe.webapp.settings import AppSettings
from skdpipe.webapp.students import Students
from skdpipe.webapp.uploads import GoneError, Uploads
from skdpipe.webapp.worker import Job, Worker


class ReadOnlyError(SkdpipeError):
    """Something that is written only without ``--read-only``."""


class Services:
    """Clips, students, the cache and the worker, from the start of the application to its end."""

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.uploads = Uploads(settings.limits)
        self.students = Students(settings)
        self.live: LiveSession | None = None
        self.cache_index = CacheIndex(PoseCache(settings.cache))
        self.worker = Worker(settings.limits.waiting)

    def find_job(self, job: str) -> Job:
        """The job with an id.

        Raises:
            GoneError: if there is none any more.
        """
        found = self.worker.find(job)
        if found is None:
            raise GoneError("the result is not there any more; choose the clip again")
        return found

    def remove_clip(self, clip: str) -> None:
        """Delete a clip and its results."""
        self.worker.forget(clip)
        self.uploads.remove(clip)

    def remove_superfluous(self) -> None:
        """Delete the clips beyond the limits."""
        for clip in self.uploads.superfluous():
            self.remove_clip(clip)

    def close(self) -> None:
        """Cancel everything, and delete the clips."""
        self.worker.close()
        self.cache_index.close()
        self.uploads.close()


def _services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Given = Annotated[Services, Depends(_services_of)]
"""The services, as a parameter of a route."""

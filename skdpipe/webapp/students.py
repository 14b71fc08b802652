"""The trained students that the page offers."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

from skdpipe.errors import SkdpipeError
from skdpipe.inference import Predictor
from skdpipe.inference.export_format import STUDENT
from skdpipe.printable import printable
from skdpipe.webapp.settings import AppSettings
from skdpipe.webapp.uploads import GoneError

_LOADED: Final = 2  # that stay in memory: two are compared


class Students:
    """Bundles and exports by the names that the page shows; loaded when they are used."""

    def __init__(self, settings: AppSettings) -> None:
        self._settings = settings
        self._loaded: OrderedDict[Path, tuple[int, Predictor]] = OrderedDict()

    def list(self) -> dict[str, Path]:
        """The students by name: the chosen one first, then those of the models folder, the newest first."""
        models, chosen = self._settings.models, self._settings.bundle
        exports = [path.parent for path in models.glob(f"*/*/{STUDENT}")]
        found = sorted([*models.glob("*/*.safetensors"), *exports], key=_changed, reverse=True)
        found.sort(key=lambda path: path.name != "student.safetensors")
        named = {f"{path.parent.name}/{path.stem}": path for path in found}
        if chosen is not None:
            first = next((name for name, path in named.items() if _is_same(path, chosen)), None)
            name = first or f"{chosen.resolve().parent.name}/{chosen.resolve().stem}"
            named = {name: chosen, **{each: path for each, path in named.items() if each != name}}
        return {printable(name): path for name, path in named.items()}

    def load(self, name: str) -> Predictor:
        """The predictor of a student; the two that were used last stay in memory.

        Raises:
            GoneError: if there is none of that name.
            SkdpipeError: as `load_predictor`.
        """
        from skdpipe.predict import load_predictor

        path = self.list().get(name)
        if path is None:
            raise GoneError(f"there is no student {printable(name, 100)}; choose another one")
        state, settings = _changed(path), self._settings
        before = self._loaded.pop(path, None)
        if before is None or before[0] != state:
            while len(self._loaded) >= _LOADED:
                self._loaded.popitem(last=False)
            before = (
                state,
                load_predictor(
                    path, device=settings.device, estimator=settings.estimator, runtime=settings.runtime
                ),
            )
        self._loaded[path] = before
        return before[1]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise SkdpipeError(f"{path}: cannot be read ({error.strerror}); choose another one") from error


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()

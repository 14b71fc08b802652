"""Networks chosen by the number of training clips, and what is stated about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from moving_body import fill, tiny_experiment

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, NetworkChoice, Recipe, load_config, parse_config
from skdpipe.config.files import config_path
from skdpipe.dataset import Manifest, build_manifest
from skdpipe.distill.auto import describe_choice, network_for, resolve_networks
from skdpipe.errors import ConfigError

AUTO = NetworkChoice("auto")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return build_manifest(fill(PoseCache(tmp_path)), tiny_experiment())


def test_few_clips_get_the_small_network() -> None:
    assert network_for(8).name == network_for(300).name == "dd_net"
    assert network_for(5000).name == "st_gcn"


def test_both_networks_are_chosen(manifest: Manifest) -> None:
    resolved = resolve_networks(tiny_experiment(teacher=AUTO, student=AUTO), manifest)
    assert resolved.teacher == resolved.student == network_for(8)


def test_the_students_network_is_the_teachers(manifest: Manifest) -> None:
    set_by_user = NetworkChoice("ctr_gcn", width=8)
    assert (
        resolve_networks(tiny_experiment(teacher=set_by_user, student=AUTO), manifest).student == set_by_user
    )
    resolved = resolve_networks(tiny_experiment(teacher=AUTO, student=AUTO), manifest, set_by_user)
    assert resolved.teacher == resolved.student == set_by_user


def test_what_is_set_stays(manifest: Manifest) -> None:
    experiment = tiny_experiment()
    assert resolve_networks(experiment, manifest) == experiment
    assert describe_choice(experiment, experiment, manifest) == ""


def test_the_choice_in_one_line(manifest: Manifest) -> None:
    settings = tiny_experiment(teacher=AUTO, student=AUTO, recipe=Recipe(epochs=2, steps=60, batch=4))
    assert describe_choice(settings, resolve_networks(settings, manifest), manifest) == (
        "chosen for 8 training clips: teacher dd_net (width 16, dropout 0.1), student dd_net (width 16, "
        "dropout 0.1), 30 instead of 2 epochs, for at least 60 steps"
    )


def test_width_and_auto_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="set the name of the network too"):
        parse_config(Experiment, {"teacher": {"name": "auto", "width": 32}}, "test")


@pytest.mark.parametrize("config", ["published", "movenet"])
def test_the_default_config_chooses_by_the_data(config: str) -> None:
    experiment = load_config(Experiment, config_path(config), (), section="experiment")
    assert experiment.teacher == experiment.student == AUTO
    assert experiment.recipe.steps >= 400
    assert experiment.recipe.optimiser == "adamw"

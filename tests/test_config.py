"""Settings: the shipped files are valid, and the message of a mistake is one line with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skdpipe.compare.plan import load_comparison
from skdpipe.config import (
    ClipFormat,
    Comparison,
    Degradation,
    Demonstration,
    Distillation,
    Estimator,
    EstimatorNoise,
    Experiment,
    Extraction,
    LabelShares,
    NetworkChoice,
    OpenPifPafSettings,
    PluginSettings,
    PoseTraining,
    Recipe,
    Report,
    RtmlibSettings,
    Thresholds,
    config_path,
    load_config,
    load_estimator_settings,
    parse_config,
    parse_estimator_settings,
    to_plain,
)
from skdpipe.errors import ConfigError
from skdpipe.skeleton import LAYOUTS

SHIPPED = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
SECTIONS: dict[str, type[Any]] = {
    "demonstration": Demonstration,
    "extraction": Extraction,
    "experiment": Experiment,
    "comparison": Comparison,
    "report": Report,
}


def kind_of(path: Path) -> type[Any]:
    if path.stem.endswith("-noise"):
        return EstimatorNoise
    return PoseTraining if path.stem.startswith("pose-") else Estimator


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def error_of(kind: type[Any], path: Path, *overrides: str, section: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(kind, path, overrides, section=section)
    text = str(caught.value)
    assert "\n" not in text
    return text


# The files that come with skdpipe


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_file_is_valid(path: Path) -> None:
    sections = yaml.safe_load(path.read_text(encoding="utf-8")).keys() & SECTIONS.keys()
    for section in sections:
        config = load_config(SECTIONS[section], path, section=section)
        assert parse_config(SECTIONS[section], to_plain(config), "again") == config
    if not sections:
        assert load_config(kind_of(path), path) is not None


def test_the_shipped_experiments_have_known_layouts_and_the_name_of_their_file() -> None:
    for path in SHIPPED:
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "experiment" in sections:
            experiment = load_config(Experiment, path, section="experiment")
            assert experiment.clip.layout in LAYOUTS
            assert experiment.name == path.stem or "comparison" in sections


@pytest.mark.parametrize("number", range(1, 8))
def test_every_table_of_the_paper_has_a_comparison(number: int) -> None:
    comparison, plan = load_comparison(config_path(f"paper-table-{number}"))
    assert comparison.name == f"paper-table-{number}"
    assert len(plan.rows) >= len(comparison.seeds) * len(comparison.scenarios) * len(comparison.students)
    for run in (*plan.teachers, *plan.rows):
        assert run.experiment.clip.layout in LAYOUTS
        assert run.experiment.recipe.epochs == 60
    # Numbers of kinds of rows in tables II, V and VI.
    rows = {2: 2 * 3, 5: 2 * 4, 6: 4}
    if number in rows:
        assert len(plan.rows) == 3 * rows[number]


def test_a_section_can_be_taken_from_another_config(tmp_path: Path) -> None:
    path = write(tmp_path, "experiment: paper")
    changed = load_config(Experiment, path, ["seed=3"], section="experiment")
    assert changed == replace(load_config(Experiment, config_path("paper"), section="experiment"), seed=3)


def test_the_config_paper_has_the_settings_of_the_paper() -> None:
    paper = load_config(Experiment, config_path("paper"), section="experiment")
    recipe = Recipe(60, batch=16, learning_rate=0.1, milestones=(15, 30, 45), decay=0.1)
    assert paper.recipe == recipe
    assert paper.clip == ClipFormat(300, "replay", 2, "coco-17", "image", smoothing=1)
    assert paper.teacher == paper.student == NetworkChoice("st_gcn", "distance", 64)
    assert paper.distillation == Distillation(kl=1, node=0.5, edge=0.5, temperature=1)
    assert paper.smoothing_window == 3


def test_shipped_configs_have_names_and_others_are_given_by_path(tmp_path: Path) -> None:
    assert {config_path(path.stem) for path in SHIPPED} == set(SHIPPED)
    mine = write(tmp_path, "name: mine")
    assert config_path(str(mine)) == mine


@pytest.mark.parametrize("name", ["papers", "nowhere/mine.yaml", "mine.yml", ""])
def test_the_name_of_a_missing_config_is_in_the_message(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^no config (file at |named '){name}[^\n]*expected[^\n]*YAML"):
        config_path(name)


def test_the_message_about_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"one of demo,.*paper,.*penn,.*published"):
        config_path("papers")


# Mistakes


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("nam=x", "nam is no setting; expected one of name, seed, high, low"),
        ("recipe.epoch=3", "recipe.epoch is no setting; expected one of epochs, steps, batch, "),
        ("derive_low.ever=3", "derive_low.ever is no setting; expected one of noise, every"),
        ("recipe.epochs=many", "recipe.epochs: found 'many'; input should be a valid integer"),
        ("recipe.epochs=2.5", "recipe.epochs: found 2.5; input should be a valid integer"),
        ("recipe.epochs=", "recipe.epochs: found None; input should be a valid integer"),
        ("recipe.epochs=0", "recipe.epochs: found 0; input should be greater than 0"),
        ("recipe.batch=0", "recipe.batch: found 0; input should be greater than 0"),
        ("recipe.learning_rate=-0.1", "recipe.learning_rate: found -0.1; input should be greater than 0"),
        ("recipe.learning_rate=.nan", "recipe.learning_rate: found nan; input should be a finite number"),
        ("recipe.momentum=1", "recipe.momentum: found 1; input should be less than 1"),
        ("recipe.milestones=15", "recipe.milestones: found 15; input should be a valid tuple"),
        ("recipe=fast", "recipe: found 'fast'; input should be a group of settings"),
        ("clip.fill=stretch", "clip.fill: found 'stretch'; input should be 'resample' or 'replay'"),
        ("clip.smoothing=2", "clip.smoothing: found 2; a window should be an odd number of frames"),
        ("smoothing_window=4", "smoothing_window: found 4; a window should be an odd number of frames"),
        ("clip.people=0", "clip.people: found 0; input should be greater than 0"),
        ("derive_low.every=0", "derive_low.every: found 0; input should be greater than 0"),
        ("derive_low.occlusion=60", "derive_low.occlusion: found 60; input should be less than"),
        ("test_fraction=1", "test_fraction: found 1; input should be less than 1"),
        ("distillation.temperature=0", "distillation.temperature: found 0; input should be greater than 0"),
        ("distillation.kl=-1", "distillation.kl: found -1; input should be greater than or equal to 0"),
        ("methods=[teacher, sudent]", "methods.1: found 'sudent'; input should be 'teacher', 'baseline'"),
        ("methods=[]", "methods: found []; tuple should have at least 1 item"),
        ("seed=-1", "seed: found -1; input should be greater than or equal to 0"),
        ("name=a/b", "name: found 'a/b'; should be a folder's name, not a path"),
        ("name='..'", "name: found '..'; should be a folder's name, not a path"),
        ("name=", "name: found None; input should be a valid string"),
        ("student.width=wide", "student.width: found 'wide'; input should be a valid integer"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_key_found_and_expected(override: str, expected: str) -> None:
    path = config_path("paper")
    text = error_of(Experiment, path, override, section="experiment")
    assert text.startswith(f"{path}: experiment: {expected}")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("recipe.epochs", "cannot read the setting 'recipe.epochs'; expected key.path=value"),
        ("=3", "cannot read the setting '=3'; expected key.path=value"),
        ("name.first=x", "setting 'name.first=x': name is a value, not a group of settings"),
        ("clip.frames=[1", "setting 'clip.frames=[1' is not YAML: while parsing a flow sequence"),
    ],
)
def test_an_override_that_cannot_be_read_is_in_the_message(override: str, expected: str) -> None:
    assert error_of(Experiment, config_path("paper"), override, section="experiment").startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1\n- 2\n", " contains a list; expected a mapping of settings"),
        ("just words", " contains a str; expected a mapping of settings"),
        ("a: [1\nb: 2", " is not YAML: while parsing"),
        ("other: {}\n1: {}", " has no section 'experiment'; found other, 1"),
        ("", " has no section 'experiment'; found nothing"),
        ("experiment: 3", ": experiment contains a int; expected a mapping of settings"),
        ("experiment: {1: 2}", ": experiment: 1: found 1; keys should be strings"),
    ],
)
def test_a_file_without_the_settings_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    assert error_of(Experiment, path, section="experiment").startswith(f"{path}{expected}")


def test_the_path_of_a_binary_file_is_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert error_of(Experiment, path).startswith(f"{path} is not YAML")


def test_the_path_of_a_file_that_cannot_be_read_is_in_the_message(tmp_path: Path) -> None:
    expected = f"no config file at {tmp_path / 'gone.yaml'} (No such file or directory); expected YAML"
    assert error_of(Estimator, tmp_path / "gone.yaml") == expected
    assert error_of(Estimator, tmp_path).startswith(f"no config file at {tmp_path} (Is a directory)")


def test_a_setting_without_default_is_required(tmp_path: Path) -> None:
    path = write(tmp_path, "extraction: {high: {backbone: resnet18, weights: mine}}")
    expected = f"{path}: extraction: low is missing and has no default; add it"
    assert error_of(Extraction, path, section="extraction") == expected


def test_a_misspelt_setting_is_reported_before_the_one_that_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path, "hihg: {}\nlow: {}")
    assert (
        error_of(Extraction, path) == f"{path}: hihg is no setting; expected one of high, low, people, batch"
    )


def test_a_long_value_is_cut_short_in_the_error_of(tmp_path: Path) -> None:
    assert len(error_of(Experiment, write(tmp_path, f"seed: [{'1, ' * 1000}]"))) < 300


# Valid settings


def test_an_empty_section_has_all_defaults(tmp_path: Path) -> None:
    assert load_config(Experiment, write(tmp_path, "experiment:"), section="experiment") == Experiment()
    assert load_config(Experiment, write(tmp_path, "")) == Experiment()


def test_overrides_apply_at_any_depth_and_their_values_are_yaml(tmp_path: Path) -> None:
    path = write(tmp_path, "experiment: {derive_low: null, clip: {people: 1}}")
    overrides = [
        "name=2024",  # the name of a run may be a number
        "derive_low.every=10",
        "clip.frames=64",
        "recipe.learning_rate=1e-3",  # a string in YAML 1.1
        "recipe.milestones=[3, 5]",
        "methods=[teacher, student]",
        "low=a=b",
    ]
    experiment = load_config(Experiment, path, overrides, section="experiment")
    assert experiment == Experiment(
        name="2024",
        derive_low=Degradation(every=10),
        clip=ClipFormat(frames=64, people=1),
        recipe=Recipe(learning_rate=1e-3, milestones=(3, 5)),
        methods=("teacher", "student"),
        low="a=b",
    )


names = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/\\"),
    min_size=1,
    max_size=20,
).filter(lambda name: name.strip(". "))
shares = st.floats(0, 1)
positive = st.integers(1, 1000)
windows = st.integers(0, 50).map(lambda half: 2 * half + 1)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
texts = st.text(min_size=1, max_size=9)
estimators = (
    st.builds(
        OpenPifPafSettings,
        backbone=texts,
        weights=texts,
        long_edge=positive,
        thresholds=st.builds(Thresholds, shares, shares, shares),
        precision=st.sampled_from(["float32", "bfloat16"]),
        every=positive,
    )
    | st.builds(
        RtmlibSettings,
        model=st.sampled_from(["rtmpose", "rtmo"]),
        detector=st.text(max_size=5),
        detect_every=positive,
        person=shares,
    )
    | st.builds(
        PluginSettings,
        plugin=texts,
        options=st.dictionaries(st.text(max_size=5), plain, max_size=3),
        every=positive,
    )
)
experiments = st.builds(
    Experiment,
    name=names,
    seed=st.integers(0, 2**31),
    derive_low=st.none() | st.builds(Degradation, every=positive, occlusion=shares),
    labels=st.builds(LabelShares, high=st.floats(0.01, 1), low=st.floats(0.01, 1)),
    smoothing_window=windows,
    methods=st.lists(st.sampled_from(["teacher", "baseline", "student"]), min_size=1).map(tuple),
    clip=st.builds(ClipFormat, frames=positive, people=st.integers(1, 20), smoothing=windows),
    recipe=st.builds(Recipe, learning_rate=st.floats(1e-9, 9), milestones=st.lists(positive).map(tuple)),
)


@given(
    experiments | estimators | st.builds(Extraction, estimators, estimators, st.integers(1, 100), positive)
)
def test_a_config_is_restored_from_plain_values_and_from_yaml(config: Any) -> None:
    written = to_plain(config)
    assert parse_config(type(config), written, "memory") == config
    assert parse_config(type(config), yaml.safe_load(yaml.safe_dump(written)), "YAML") == config


def test_settings_with_their_defaults_can_be_left_out() -> None:
    """A digest of the result does not change when a setting is added."""
    changed = Experiment(seed=3, recipe=Recipe(epochs=7), derive_low=Degradation())
    plain = to_plain(changed, only_changed=True)
    assert plain == {"seed": 3, "recipe": {"epochs": 7}, "derive_low": {}}
    assert parse_config(Experiment, plain, "memory") == changed
    assert to_plain(Experiment(), only_changed=True) == {}


# Kinds of estimators


def test_an_estimator_without_a_kind_is_openpifpafs_or_a_plugin(tmp_path: Path) -> None:
    path = write(tmp_path, "{backbone: resnet18, weights: mine, every: 2}")
    assert load_estimator_settings(path) == OpenPifPafSettings("resnet18", "mine", every=2)
    assert load_estimator_settings(write(tmp_path, "plugin: mine")) == PluginSettings("mine")
    assert load_estimator_settings(write(tmp_path, "{kind: plugin, plugin: mine}")) == PluginSettings("mine")


def test_files_of_earlier_versions_have_the_settings_of_both_kinds() -> None:
    both = {"long_edge": 97, "thresholds": {"seed": 0.5}, "every": 2, "options": {}}
    network = parse_estimator_settings({**both, "backbone": "a", "weights": "b", "plugin": ""}, "bundle")
    assert network == OpenPifPafSettings("a", "b", 97, Thresholds(seed=0.5), every=2)
    plugin = parse_estimator_settings({**both, "backbone": "", "weights": "", "plugin": "c"}, "bundle")
    assert plugin == PluginSettings("c", every=2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{kind: camera}", "expected kind openpifpaf or rtmlib or plugin"),
        ("{kind: openpifpaf, plugin: a}", "low.plugin is no setting; expected one of kind, backbone, "),
        ("{plugin: a, long_edge: 9}", "low.long_edge is no setting; expected one of kind, plugin, "),
        ("{plugin: a, weights: b}", "a plugin; keep one of the two"),
        ("{backbone: a}", "low.weights is missing and has no default; add it"),
        ("{}", "low.backbone is missing and has no default; add it"),
        ("3", "low: found 3; input should be a group of settings"),
        ("{plugin: a, every: 0}", "low.every: found 0; input should be greater than 0"),
        ("{backbone: a, weights: b, thresholds: {sed: 1}}", "low.thresholds.sed is no setting; expected "),
        ("{backbone: a, weights: b, runtime: tensorrt}", "low.runtime: found 'tensorrt'; input should be "),
    ],
)
def test_what_an_estimator_cannot_be_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, f"extraction: {{high: {{plugin: a}}, low: {text}}}")
    assert expected in error_of(Extraction, path, section="extraction")


# Renamed settings


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("distillation: {fresh_views: true}", {"distillation": {"resample_degradation": True}}),
        ("distillation: {kept_megabytes: 5}", {"distillation": {"teacher_cache_megabytes": 5}}),
        ("distillation: {revision: false}", {"distillation": {"revision": "none"}}),
        ("recipe: {mixed_precision: true}", {"recipe": {"mixed_precision": "fp16"}}),
        ("recipe: {mixed_precision: off}", {"recipe": {"mixed_precision": "none"}}),
        ("clip: {scale: picture}", {"clip": {"scale": "image"}}),
        ("derive_low: {noise: {misses_elsewhere: 0.1}}", {"derive_low": {"noise": {"misses_default": 0.1}}}),
    ],
)
def test_the_old_name_of_a_setting_is_read_with_one_line_of_warning(
    tmp_path: Path, old: str, new: dict[str, Any]
) -> None:
    path = write(tmp_path, old)
    with pytest.warns(FutureWarning) as warned:
        experiment = load_config(Experiment, path)
    assert experiment == parse_config(Experiment, new, "new")
    (line,) = (str(warning.message) for warning in warned)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line


def test_an_override_with_either_name_changes_a_setting_with_the_other_name(tmp_path: Path) -> None:
    for written, override in (
        ("kept_megabytes", "teacher_cache_megabytes"),
        ("teacher_cache_megabytes", "kept_megabytes"),
    ):
        path = write(tmp_path, f"distillation: {{{written}: 5}}")
        with pytest.warns(FutureWarning, match="kept_megabytes is now called teacher_cache_megabytes"):
            experiment = load_config(Experiment, path, [f"distillation.{override}=7"])
        assert experiment.distillation.teacher_cache_megabytes == 7


def test_a_setting_under_both_names_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "distillation: {kept_megabytes: 5, teacher_cache_megabytes: 5}")
    assert error_of(Experiment, path).endswith("are the same setting; keep teacher_cache_megabytes only")


def test_the_options_of_a_plugin_are_not_renamed(tmp_path: Path) -> None:
    path = write(tmp_path, "plugin: mine.py:Mine\noptions: {pictures: 3}")
    assert load_config(Estimator, path).options == {"pictures": 3}

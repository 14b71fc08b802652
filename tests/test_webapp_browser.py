"""The web application in a headless Chromium: what a user does and what is shown."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from encoded_videos import encode
from moving_body import ACTIONS, write_action_video
from web_stage import HOSTILE, Server, SlowEstimator, Stage, build_stage

from skdpipe import AppSettings

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Page = sync_api.Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

Serve = Callable[[AppSettings], str]

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return build_stage(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Starts the application and gives its address."""
    servers: list[Server] = []

    def serve(settings: AppSettings) -> str:
        servers.append(Server(settings))
        return servers[-1].address

    yield serve
    for each in servers:
        each.close()


@pytest.fixture(scope="module")
def address(stage: Stage, serve: Serve) -> str:
    return serve(stage.settings)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])
        yield browser
        browser.close()


@dataclass
class Visit:
    """Opens pages, and keeps what went wrong in them."""

    browser: Any
    address: str
    problems: list[str]

    def open(self, part: str, size: dict[str, int] = DESKTOP, **options: Any) -> Any:
        context = self.browser.new_context(viewport=size, **options)
        page = context.new_page()
        page.set_default_timeout(20_000)
        host = urlsplit(self.address).netloc
        page.on("console", lambda message: self.problems.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if urlsplit(request.url).netloc == host or request.url.startswith("blob:")
                else self.problems.append(f"a request to {request.url}")
            ),
        )
        page.on("dialog", lambda dialog: self.problems.append(f"a dialog: {dialog.message}"))
        page.goto(f"{self.address}#/{part}")
        return page


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    visit = Visit(browser, address, [])
    yield visit
    for context in browser.contexts:
        context.close()
    assert visit.problems == []


def show(page: Any, clip: Path) -> None:
    page.set_input_files("input[type=file]", clip)
    page.locator(".result").first.wait_for()


LOOK = """() => {
  const canvas = document.querySelector("canvas");
  const found = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let [bright, orange, digest] = [0, 0, 0];
  for (let at = 0; at < found.length; at += 4) {
    const [red, green, blue] = [found[at], found[at + 1], found[at + 2]];
    bright += red > 200 && green > 200 && blue > 200;
    orange += red === 230 && green === 159 && blue === 0;
    digest = (digest * 31 + red + 3 * green + 7 * blue) % 1000003;
  }
  return { bright: bright / (found.length / 4), orange, digest };
}"""
"""The share of bright pixels of a canvas, the number of those in the colour of person 0, and a digest."""


def wait_until(page: Any, condition: str) -> None:
    """Wait for a condition in the page; its policy forbids what playwright has for that."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def time_of(page: Any) -> float:
    return float(page.get_by_role("slider", name="Time").input_value())


def overflow(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_a_dropped_clip_plays_with_skeletons_in_time(visit: Visit, stage: Stage) -> None:
    page = visit.open("clip")
    page.locator(".drop").wait_for()
    content = list(stage.clip().read_bytes())
    page.evaluate(
        "content => { const files = new DataTransfer();"
        "files.items.add(new File([new Uint8Array(content)], 'dropped.mp4', { type: 'video/mp4' }));"
        "document.querySelector('.drop').dispatchEvent("
        "new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true })); }",
        content,
    )
    page.locator(".result").wait_for()
    assert "dropped.mp4" in page.locator(".result .note").first.inner_text()
    wait_until(
        page, "document.querySelector('video').readyState >= 2 && !document.querySelector('video').seeking"
    )
    page.wait_for_timeout(200)
    first = page.evaluate(LOOK)
    assert (
        0.03 < first["bright"] < 0.09
    )  # the white box of the video, under the skeleton: 10 by 24 of 64 by 48
    assert first["orange"] > 100
    page.get_by_role("button", name="Play").click()
    wait_until(page, "Number(document.querySelector('input[type=range]').value) > 0.4")
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate(LOOK)["digest"] != first["digest"]
    visit.problems[:] = [each for each in visit.problems if "getImageData" not in each]  # of this test
    page.get_by_role("slider", name="Time").focus()
    before = time_of(page)
    page.keyboard.press("ArrowLeft")
    assert time_of(page) == pytest.approx(before - 0.1, abs=0.011)
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()


def test_a_clip_that_the_browser_does_not_play_is_converted(visit: Visit, tmp_path: Path) -> None:
    frames = np.full((10, 48, 64, 3), 20, np.uint8)
    frames[:, 10:34, 20:30] = 240
    page = visit.open("clip")
    show(page, encode(tmp_path / "old.avi", "mpeg4", frames))
    wait_until(page, "document.querySelector('video').videoWidth === 64")
    page.wait_for_timeout(200)
    assert 0.03 < page.evaluate(LOOK)["bright"] < 0.12
    assert not page.get_by_text("This browser cannot play").is_visible()


def test_a_click_on_the_timeline_seeks(visit: Visit, tmp_path: Path) -> None:
    page = visit.open("clip")
    show(page, write_action_video(tmp_path / "clip.mp4", ACTIONS[0], frames=50))
    assert page.locator(".chart path").count() == 2
    lines = page.locator(".chart path").evaluate_all("all => all.map((each) => each.getAttribute('d'))")
    assert [line.count("M") for line in lines] == [1, 1]  # the last window begins sooner than the others
    track = page.locator(".timeline .track").first
    box = track.bounding_box()
    page.locator(".chart .track").click(position={"x": 0.5 * box["width"], "y": 20})
    assert time_of(page) == pytest.approx(50 / 24, abs=0.1)
    page.locator(".timeline .segment").last.focus()
    page.keyboard.press("Enter")
    start = page.locator("tbody tr").last.locator("td").first.inner_text()
    assert time_of(page) == pytest.approx(float(start.split(":")[1]), abs=0.06)
    page.get_by_label("People are labelled").select_option("apart")
    page.get_by_role("group", name="Person 0").wait_for()


def test_a_long_labelling_is_cancelled(
    visit: Visit, stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowEstimator()
    monkeypatch.setattr("skdpipe.predict.load_estimator", lambda *_: slow)
    visit.address = serve(stage.settings)
    page = visit.open("clip")
    page.set_input_files("input[type=file]", stage.clip("long.mp4"))
    assert slow.started.wait(20)
    page.get_by_role("progressbar").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("progressbar").wait_for(state="hidden")
    assert not page.get_by_role("alert").is_visible()
    assert page.locator(".result").count() == 0
    slow.go_on.set()


def test_segments_are_downloaded(visit: Visit, stage: Stage) -> None:
    page = visit.open("clip")
    show(page, stage.clip())
    for name, start in (("Segments as CSV", b"source,start,end,label"), ("Segments as WebVTT", b"WEBVTT")):
        with page.expect_download() as download:
            page.get_by_text(name).click()
        assert Path(download.value.path()).read_bytes().removeprefix(b"\xef\xbb\xbf").startswith(start)


def test_two_students_are_compared(visit: Visit, stage: Stage) -> None:
    page = visit.open("clip")
    show(page, stage.clip())
    page.get_by_label("Compare with").select_option("run/baseline")
    page.locator(".result").nth(1).wait_for()
    assert page.locator(".result h2").all_inner_texts() == ["run/student", "run/baseline"]
    assert page.locator("figcaption").all_inner_texts() == ["run/student", "run/baseline"]
    assert page.locator("canvas").count() == 2


def test_hostile_names_are_shown_as_text(visit: Visit, stage: Stage) -> None:
    page = visit.open("clip")
    show(page, stage.clip())
    assert HOSTILE in page.locator(".result").inner_text()
    page.goto(f"{visit.address}#/cache")
    page.get_by_role("cell", name=HOSTILE).wait_for()
    assert page.locator("main img").count() == 0


def test_a_refusal_is_one_line_that_can_be_closed(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    page = visit.open("clip")
    page.set_input_files("input[type=file]", tmp_path / "notes.mp4")
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text().startswith("notes.mp4: not a readable video")
    page.get_by_role("button", name="Close the message").click()
    assert page.get_by_role("alert").count() == 0
    visit.problems[:] = [each for each in visit.problems if "status of 422" not in each]


def test_the_cache_shows_both_qualities_and_corrects_a_label(
    visit: Visit, serve: Serve, tmp_path: Path
) -> None:
    stage = build_stage(tmp_path)
    visit.address = serve(stage.settings)
    page = visit.open("cache")
    page.get_by_label("Search names").fill(ACTIONS[1])
    page.get_by_text(f"{stage.cache.root}: 1 clip found", exact=True).wait_for()  # all files are read
    page.locator("td .link").click()
    page.locator(".detail canvas").nth(1).wait_for()
    captions = page.locator("figcaption").all_inner_texts()
    assert captions == ["high quality, 12 frames, 1 person", "low quality, 6 frames, 1 person"]
    wait_until(page, "document.querySelector('.detail video').readyState >= 2")
    page.get_by_label("Label", exact=True).last.fill("push & <b>pull</b>")
    page.get_by_role("button", name="Correct the label").click()
    page.get_by_role("button", name="Write the label").click()
    page.get_by_text("Wrote “push & <b>pull</b>” into 2 files; the label was “wave”.").wait_for()
    labels = [each.origin.label for each in stage.cache.entries()]
    assert sorted(labels, key=str)[2:] == ["push & <b>pull</b>"] * 2
    page.get_by_role("button", name="Restore “wave”").click()
    page.get_by_text("Wrote “wave” into 2 files").wait_for()
    assert [each.origin.label for each in stage.cache.entries()].count("wave") == 2


def test_the_camera_is_labelled(visit: Visit) -> None:
    page = visit.open("camera", permissions=["camera"])
    page.get_by_role("button", name="Start the camera").click()
    page.get_by_text("pictures a second").wait_for()
    page.get_by_role("button", name="Stop the camera").click()
    page.get_by_role("button", name="Start the camera").wait_for()


def test_a_damaged_run_is_one_line_and_scripts_of_a_report_do_not_run(
    visit: Visit, stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    run = tmp_path / "models/run <1>"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("experiment: {}")
    (run / "report.html").write_text("<p>plain</p><script>document.body.textContent = 'changed'</script>")
    visit.address = serve(replace(stage.settings, models=tmp_path / "models"))
    page = visit.open("runs")
    page.get_by_role("alert").wait_for()
    assert "config.yaml" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("combobox").input_value() == "run <1>"
    page.goto(f"{visit.address}api/runs/run%20%3C1%3E/report")
    assert page.locator("body").inner_text() == "plain"
    assert any("sandboxed" in each for each in visit.problems)
    visit.problems.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(visit: Visit, stage: Stage, scheme: str) -> None:
    page = visit.open("clip", PHONE, color_scheme=scheme, is_mobile=True, has_touch=True)
    assert overflow(page) == 0
    show(page, stage.clip("long.mp4"))
    assert overflow(page) == 0
    page.get_by_label("Compare with").select_option("run/baseline")
    page.locator(".result").nth(1).wait_for()
    assert overflow(page) == 0
    page.goto(f"{visit.address}#/cache")
    page.locator("td .link").first.click()
    page.locator(".detail canvas").first.wait_for()
    assert overflow(page) == 0


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("main *, header *")) {
    const text = [...element.childNodes].filter((each) => each.nodeType === 3 && each.data.trim());
    if (!text.length || !element.checkVisibility() || element.disabled || element.closest("option")) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push(`${element.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_and_controls_have_names(visit: Visit, stage: Stage, scheme: str) -> None:
    page = visit.open("clip", color_scheme=scheme)
    show(page, stage.clip("long.mp4"))
    for part, ready in (("clip", ".result"), ("cache", "td .link"), ("camera", "button.main")):
        page.goto(f"{visit.address}#/{part}")
        page.locator(ready).first.wait_for()
        assert page.evaluate(CONTRAST) == []
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, input, select, a, canvas')].filter((each) =>"
            "!(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.length))"
            ".map((each) => each.outerHTML)"
        )
        assert unnamed == []

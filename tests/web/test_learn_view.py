"""Learn in a browser: a training started, watched, paused, gone through again."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from lenet.network import zoo
from lenet.network.architecture import trace
from lenet.training import recipes

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from accessibility import serious_faults_in_both_themes
from lab_process import PATIENCE_MS, open_view, running_lab
from playwright.sync_api import expect

Page = Any


# --- what the page computes by itself -------------------------------------------------------------


def call(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    """The value of an expression in which ``m`` is a module of the page and ``x`` the argument."""
    script = f"async (x) => {{ const m = await import('lenet/{module}.js'); return {expression}; }}"
    return page.evaluate(script, argument)


def test_the_command_says_only_what_is_not_the_recipes(shared_page: Page) -> None:
    recipe = recipes.to_dict(recipes.load("d2l"))
    values = {"epochs": 10, "batch_size": 128, "schedule.kind": "cosine", "val": 0.1}
    changed = call(shared_page, "learn/fields", "m.changes(...x)", [recipe, values])
    assert changed == {"batch_size": 128, "schedule.kind": "cosine", "val": 0.1}
    asked = {"recipe": "d2l", "settings": changed, "network": "mlp", "data": "it's mine"}
    assert call(shared_page, "learn/fields", "m.commandLine(x)", asked) == (
        "lenet train d2l --data 'it'\\''s mine' --network mlp --batch-size 128 "
        "--set schedule.kind=cosine --val 0.1"
    )
    own = {"recipe": "d2l", "settings": {}, "text": "Flatten()\nLinear(784, 10)\n"}
    assert call(shared_page, "learn/fields", "m.commandLine(x)", own) == (
        "lenet train d2l --network own --set 'layers=Flatten()\nLinear(784, 10)'"
    )


def test_the_command_of_a_named_training_writes_into_the_labs_folder(shared_page: Page) -> None:
    asked = {"recipe": "d2l", "settings": {}, "name": "first try"}
    said = call(shared_page, "learn/fields", "m.commandLine(x, '/home/me/runs')", asked)
    assert said == "lenet train d2l --out '/home/me/runs/first try'"


def test_the_form_has_every_key_of_a_recipe(shared_page: Page) -> None:
    keys = set(call(shared_page, "learn/fields", "m.FIELDS.map((field) => field.key)"))
    assert keys == set(recipes.keys()) - {"title", "data", "network", "layers"}


def test_the_usual_values_of_an_optimiser_are_those_of_the_command_line(shared_page: Page) -> None:
    for method, name in itertools.product(("sgd", "adam", "adamw", "sdlm"), ("d2l", "quickstart")):
        start = recipes.load(name, {"optimizer.method": "adam" if method == "sgd" else "sgd"})
        recipe = recipes.with_method(start, method, learning_rate_given=False)
        usual = call(shared_page, "learn/fields", "m.usualFor(...x)", [method, name == "d2l"])
        assert usual["schedule.learning_rate"] == recipe.settings.schedule.learning_rate
        assert usual["optimizer.weight_decay"] == recipe.settings.optimizer.weight_decay


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("epochs", 2.5, "whole"),
        ("epochs", 0, "least"),
        ("val", "a tenth", "number"),
        ("val", 1.5, "most"),
        ("val", 0.1, None),
        ("optimizer.method", "adam", None),
    ],
)
def test_a_wrong_value_is_told_before_it_is_sent(
    shared_page: Page, field: str, value: Any, problem: str | None
) -> None:
    expression = "m.wrong(m.FIELDS.find(({key}) => key === x[0]), x[1])?.problem ?? null"
    assert call(shared_page, "learn/fields", expression, [field, value]) == problem


def test_a_record_grows_by_what_is_new(shared_page: Page) -> None:
    record = {
        "summary": {},
        "history": {"step": [10, 20], "epoch": [0.5, 1], "test_acc": [None, 0.5]},
        "snapshots": [{"step": 0, "epoch": 0}, {"step": 10, "epoch": 0.5}],
        "remarks": ["a"],
    }
    news = {
        "readings": [{"step": 30, "epoch": 1.5, "test_acc": None}],
        "snapshots": [{"step": 30, "epoch": None}],
        "gone": [10],
        "remarks": ["a", "b"],
    }
    grown = call(shared_page, "shared/runs", "m.grown(...x)", [record, news])
    assert grown["history"]["step"] == [10, 20, 30]
    assert grown["history"]["test_acc"] == [None, 0.5, None]
    assert grown["snapshots"] == [{"step": 0, "epoch": 0}, {"step": 30, "epoch": 1.5}]
    assert grown["remarks"] == ["a", "b"]


def test_a_run_that_goes_on_from_a_checkpoint_loses_what_came_after_it(shared_page: Page) -> None:
    record = {
        "history": {"step": [10, 20, 30], "epoch": [1, 2, 3]},
        "snapshots": [],
        "remarks": [],
    }
    news = {"readings": [{"step": 20, "epoch": 2}]}
    grown = call(shared_page, "shared/runs", "m.grown(...x)", [record, news])
    assert grown["history"]["step"] == [10, 20]
    reset = {"readings": [{"step": 5, "epoch": 0.5}], "reset": True}
    assert call(shared_page, "shared/runs", "m.grown(...x)", [record, reset])["history"] == {
        "step": [5],
        "epoch": [0.5],
    }


def test_only_the_newest_of_those_that_wait_is_done(shared_page: Page) -> None:
    expression = """await (async () => {
      const done = [];
      const ask = m.newestOnly(async (key) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        done.push(key);
      });
      await Promise.all([ask(1), ask(2), ask(3)]);
      return done;
    })()"""
    assert call(shared_page, "shared/runs", expression) == [1, 3]


def test_numbers_are_written_with_their_own_signs_and_digits(shared_page: Page) -> None:
    expression = "[-0.00002, 0.01234, 61.7061, -3].map(m.figure).concat(m.roundText(-0.5))"
    assert call(shared_page, "shared/words", expression) == [
        "−2.0e−5",
        "0.0123",
        "61.7",
        "−3.00",
        "−0.5",
    ]
    durations = "[9.4, 59.6, 185, 7800].map((s) => m.duration(s, (key, v) => JSON.stringify(v)))"
    assert [json.loads(text) for text in call(shared_page, "shared/words", durations)] == [
        {"n": "9.4"},
        {"m": 1, "s": "00"},
        {"m": 3, "s": "05"},
        {"h": 2, "m": "10"},
    ]


def test_both_languages_have_the_same_words(shared_page: Page) -> None:
    for name in ("learn", "compare"):
        english, chinese = (
            call(shared_page, f"i18n/{name}", f"m.default.{language}") for language in ("en", "zh")
        )
        assert english.keys() == chinese.keys()
        for key, text in english.items():
            places = sorted(re.findall(r"\{\w+\}", text))
            assert sorted(re.findall(r"\{\w+\}", chinese[key])) == places, key


# --- with a lab -----------------------------------------------------------------------------------


def shown_moment(page: Page, ref: str) -> None:
    """Wait until the inside of the run is that of the ref."""
    expect(page.locator(".learn-moment")).to_have_attribute("data-ref", ref)


def test_a_training_started_watched_paused_scrubbed_and_finished(
    page: Page, served_runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(served_runs / "relu-adam", tmp_path / "runs" / "relu-adam")
    with running_lab(tmp_path / "runs") as address:
        open_view(page, address, "learn")
        page.locator("[name=recipe]").select_option("quickstart")
        page.locator("[name=network]").select_option("lenet-max")
        page.locator("[name='optimizer.method']").select_option("adamw")
        page.locator("[name=epochs]").fill("40")
        page.locator("[name=batch_size]").fill("256")
        expect(page.locator(".command")).to_have_text(
            "lenet train quickstart --network lenet-max --epochs 40 --batch-size 256 --lr 0.001 "
            "--set optimizer.method=adamw --set optimizer.weight_decay=0.01"
        )
        with page.expect_request("**/api/train") as sent:
            page.get_by_role("button", name="Start training").click()
        assert sent.value.post_data_json == {
            "recipe": "quickstart",
            "settings": {
                "epochs": 40,
                "batch_size": 256,
                "schedule.learning_rate": 0.001,
                "optimizer.method": "adamw",
                "optimizer.weight_decay": 0.01,
            },
            "network": "lenet-max",
            "text": None,
            "data": None,
        }
        status = page.locator(".run-title .status")
        expect(status).to_have_text("training")
        name = page.locator(".run-name").inner_text()
        expect(page).to_have_url(re.compile(f"run={name}"))
        expect(page.locator(".readout")).to_contain_text("test")  # live: an epoch is over
        shown_moment(page, f"run:{name}")

        page.get_by_role("button", name="Pause").click()
        expect(status).to_have_text("paused")
        expect(page.get_by_role("button", name="Continue")).to_be_focused()
        paused_at = page.locator(".progress-text").inner_text()
        page.locator("#moment").press("Home")
        shown_moment(page, f"run:{name}@0")
        expect(page.locator(".where")).to_have_text("epoch 0 · step 0")
        expect(page.locator(".live")).to_have_attribute("aria-pressed", "false")
        page.locator(".live").click()
        expect(page.locator(".live")).to_have_attribute("aria-pressed", "true")

        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".progress-text")).not_to_have_text(paused_at)

        page.reload()  # nothing is lost by it
        expect(page.locator(".run-name")).to_have_text(name)
        expect(status).to_have_text("finished", timeout=4 * PATIENCE_MS)
        expect(page.locator(".progress-text")).to_contain_text("epoch 40 of 40")
        shown_moment(page, f"run:{name}@1600")
        expect(page).to_have_url(re.compile(f"run={name}"))
        page.get_by_role("button", name="Explore this network").click()
        page.wait_for_url(f"**/#/explore?model=run%3A{name}*")
        page.close()  # before its lab ends


def test_the_first_training_begins_by_itself_and_is_welcomed(page: Page, tmp_path: Path) -> None:
    with running_lab(tmp_path / "none") as address:
        lab, _, token = address.partition("#token=")
        with urlopen(f"{lab}api/state") as answer:
            (run,) = json.load(answer)["runs"]
        assert run["status"] in ("queued", "running")
        pause = f"{lab}api/runs/{run['name']}/pause"  # on a busy machine it is over before the page
        urlopen(Request(pause, method="POST", headers={"X-LeNet-Token": token})).close()
        open_view(page, address, "learn")
        expect(page.locator(".learn-welcome")).to_contain_text("Welcome.")
        expect(page.locator(".run-name")).to_contain_text("quickstart")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".run-title .status")).to_have_text("training")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".run-title .status")).to_have_text("stopped")
        expect(page.get_by_role("button", name="Continue")).to_be_visible()
        page.close()  # before its lab ends


def test_several_trainings_wait_in_their_order(
    page: Page, served_runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(served_runs / "sigmoid", tmp_path / "runs" / "sigmoid")
    with running_lab(tmp_path / "runs") as address:
        open_view(page, address, "learn")
        page.locator("[name=recipe]").select_option("quickstart")
        page.locator("[name=epochs]").fill("500")  # it trains until it is stopped
        for _ in range(3):
            page.get_by_role("button", name="Start training").click()
            expect(page.get_by_role("button", name="Start training")).to_be_enabled()
        choices = page.locator(".run-choice .status")
        expect(choices.nth(0)).to_have_text("training")
        expect(choices.nth(1)).to_have_text("queued, number 1")
        expect(choices.nth(2)).to_have_text("queued, number 2")
        page.locator(".run-choice").nth(1).click()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".run-title .status")).to_have_text("stopped")
        expect(page.locator(".run-choice", has_text="queued, number 1")).to_have_count(1)
        page.close()  # before its lab ends


def test_a_lost_connection_is_told_and_found_again(
    page: Page, served_runs: Path, tmp_path: Path, problems: list[str]
) -> None:
    shutil.copytree(served_runs / "sigmoid", tmp_path / "runs" / "sigmoid")
    with running_lab(tmp_path / "runs") as address:
        port = urlsplit(address).port
        open_view(page, address, "learn")
        expect(page.locator(".run-name")).to_have_text("sigmoid")
        expect(page.locator(".connection")).to_be_hidden()
    expect(page.locator(".connection")).to_contain_text("does not answer")
    assert port is not None
    with running_lab(tmp_path / "runs", port):
        expect(page.locator(".connection")).to_contain_text("answers again")
        page.close()
    # the browser's own words for it, and a server's that ends while it answers
    told = ("ERR_CONNECTION", "ERR_INCOMPLETE", "status of 500", "status of 503")
    problems[:] = [line for line in problems if not any(words in line for words in told)]


def test_a_run_beyond_numbers_is_offered_again_with_a_tenth_of_its_rate(
    page: Page, served_runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(served_runs / "sigmoid", tmp_path / "runs" / "sigmoid")
    with running_lab(tmp_path / "runs") as address:
        open_view(page, address, "learn")
        page.locator("[name=recipe]").select_option("quickstart")
        page.locator("[name='schedule.learning_rate']").fill("1e30")
        page.locator("[name=name]").fill("wild")
        page.get_by_role("button", name="Start training").click()
        expect(page.locator(".run-name")).to_have_text("wild")
        expect(page.locator(".run-title .status")).to_have_text("failed")
        expect(page.locator("[name=name]")).to_have_value("")
        expect(page.get_by_role("button", name="Continue")).to_have_count(0)
        page.get_by_role("button", name="Again with a tenth of the learning rate (1e+29)").click()
        expect(page.locator(".run-name")).to_have_text("wild-rate-1e29-1")
        page.close()  # before its lab ends


def test_ones_own_network_is_checked_as_one_types(
    page: Page, served_runs: Path, tmp_path: Path, problems: list[str]
) -> None:
    shutil.copytree(served_runs / "sigmoid", tmp_path / "runs" / "sigmoid")
    with running_lab(tmp_path / "runs") as address:
        open_view(page, address, "learn")
        page.locator("[name=recipe]").select_option("quickstart")
        page.locator("[name=network]").select_option(label="your own …")
        table, text = page.locator(".layer-table"), page.locator("#own-layers")
        rows = trace(zoo.build("lenet"))
        expect(table.locator("tbody tr")).to_have_count(len(rows))
        expect(table.locator("tfoot")).to_contain_text("61,706")
        expect(table.locator("tbody tr").nth(3)).to_contain_text("16×6×5×5 + 16")
        lines = text.input_value().split("\n")
        text.fill("\n".join([*lines[:7], "Linear(401, 120)", *lines[8:]]))
        expect(page.locator(".wrong-line")).to_have_text("8")
        expect(page.locator(".own-result")).to_contain_text("Line 8: layer 7 (Linear) expects")
        expect(text).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_role("button", name="Start training")).to_be_disabled()
        text.fill("\n".join([*lines[:7], "Linear(400, 60)", "Tanh()", "Linear(60, 10)"]))
        expect(table.locator("tbody tr")).to_have_count(10)
        expect(page.locator(".wrong-line")).to_have_count(0)
        with page.expect_request("**/api/train") as sent:
            page.get_by_role("button", name="Start training").click()
        assert sent.value.post_data_json["text"].endswith("Linear(60, 10)")
        expect(page.locator(".learn-panel")).to_contain_text("27,242")  # its parameters
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".run-title .status")).to_have_text(re.compile("stopped|finished"))
        page.close()  # before its lab ends
    problems[:] = [line for line in problems if "422" not in line]  # the wrong line, provoked


def test_the_time_line_moves_everything_by_keys_pointer_and_by_itself(page: Page, lab: str) -> None:
    open_view(page, lab, "learn", "?run=relu-adam")
    shown_moment(page, "run:relu-adam@120")
    at_end = page.locator(".learn-moment").inner_text()
    page.locator("#moment").press("Home")
    shown_moment(page, "run:relu-adam@0")
    expect(page.locator(".moment-name").first).to_have_text("at epoch 0")
    expect(page.locator(".moment-name").last).to_have_text("at epoch 0")
    assert page.locator(".learn-moment").inner_text() != at_end
    page.locator("#moment").press("ArrowRight")
    shown_moment(page, "run:relu-adam@8")
    page.get_by_role("button", name="Explore this network").click()
    page.wait_for_url("**/#/explore?model=run%3Arelu-adam%408*")
    page.go_back()
    shown_moment(page, "run:relu-adam@8")  # where it was left
    over = page.locator(".u-over").first.bounding_box()
    page.mouse.click(over["x"] + over["width"] / 3, over["y"] + 20)  # epoch 1 of 3
    shown_moment(page, "run:relu-adam@40")
    page.locator(".play").click()
    shown_moment(page, "run:relu-adam@120")
    expect(page.locator(".play")).to_have_text("Play")


def test_another_picture_is_computed_with_the_same_weights(page: Page, lab: str) -> None:
    open_view(page, lab, "learn", "?run=relu-adam")
    shown_moment(page, "run:relu-adam@120")
    expect(page.locator(".class-bars li")).to_have_count(10)
    before = page.locator(".class-bars").inner_text()
    page.get_by_role("button", name="Next picture").click()
    expect(page.locator(".class-bars")).not_to_have_text(before, use_inner_text=True)
    expect(page.locator(".picture-choice input")).to_have_value("1")
    expect(page.locator(".layer-row")).to_have_count(11)  # all but Flatten
    expect(page.locator(".distributions tbody tr")).to_have_count(11)


SAID = "Seen: 1; 2. Why: 3. 4. Try: 5."


def test_a_remark_of_the_run_stands_beneath_the_curves(page: Page, lab: str) -> None:
    def with_remark(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "remarks": [SAID, "stuck at ln 10"]})

    page.route("**/api/runs/sigmoid", with_remark)
    open_view(page, lab, "learn", "?run=sigmoid")
    notes = page.locator(".note")
    expect(notes.nth(0).locator("p")).to_have_text(["Seen: 1; 2.", "Why: 3. 4.", "Try: 5."])
    expect(notes.nth(1)).to_have_text("What LeNet remarks: stuck at ln 10")
    curves, note = (page.locator(f".learn-{part}").bounding_box() for part in ("curves", "remarks"))
    assert note["y"] >= curves["y"] + curves["height"] - 1


def test_a_run_is_renamed(
    page: Page, served_runs: Path, tmp_path: Path, problems: list[str]
) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(served_runs / "sigmoid", folder / "sigmoid")
    with running_lab(folder) as address:
        open_view(page, address, "learn", "?run=sigmoid")
        page.get_by_role("button", name="Rename").click()
        page.get_by_label("New name").fill("../out")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("cannot be a folder's")
        page.get_by_label("New name").fill("slow sigmoid")
        page.keyboard.press("Enter")
        expect(page.locator(".run-name")).to_have_text("slow sigmoid")
        expect(page.locator(".run-choice")).to_have_count(1)
        expect(page.get_by_label("New name")).to_be_hidden()
        expect(page.locator(".learn-remarks")).to_be_visible()
        page.wait_for_url(re.compile("run=slow"))
        page.close()  # before its lab ends
    problems[:] = [line for line in problems if "422" not in line]  # the wrong name, provoked


@pytest.mark.parametrize("language", ["English", "中文"])
def test_on_a_telephone_nothing_is_cut_off(
    new_page: Callable[..., Page], lab: str, language: str
) -> None:
    page = new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    open_view(page, lab, "learn", "?run=relu-adam", language)
    shown_moment(page, "run:relu-adam@120")
    expect(page.locator(".class-bars li")).to_have_count(10)
    page.locator("summary").first.tap()
    page.locator("summary").nth(1).tap()
    page.locator("[name=network]").select_option("*own*")
    expect(page.locator(".layer-table tbody tr")).to_have_count(12)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_axe_finds_nothing_serious(new_page: Callable[..., Page], lab: str) -> None:
    page = new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
    open_view(page, lab, "learn", "?run=relu-adam")

    def ready() -> None:
        shown_moment(page, "run:relu-adam@120")
        page.locator("[name=network]").select_option("*own*")
        expect(page.locator(".layer-table tbody tr")).to_have_count(12)

    assert serious_faults_in_both_themes(page, ready) == []

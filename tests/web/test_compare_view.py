"""Compare in a browser: runs sorted, thrown away and brought back, their curves and mistakes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet import data, engines, runs
from lenet.network import zoo
from lenet.network.architecture import to_dict
from lenet.network.parameters import State
from lenet.network.weights import load_network, pack_network
from lenet.optimization import Objective, Optimizer

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from accessibility import serious_faults_in_both_themes
from lab_process import RUNS, open_view, running_lab
from playwright.sync_api import expect

Page = Any

IN_WORDS = """async ([left, right, language]) => {
  const { align, inWords } = await import("lenet/compare/differences.js");
  const { trace } = await import("lenet/network/trace.js");
  const { translator } = await import("lenet/i18n.js");
  const words = (await Promise.all(["learn", "compare"].map((name) =>
    import(`lenet/i18n/${name}.js`)))).map((module) => module.default);
  const [a, b] = [left, right].map((network) =>
    ({ name: network.name, network, traced: trace(network) }));
  const rows = align(a.traced, b.traced);
  return {
    rows: rows.map((pair) => pair.map((row) => row?.index ?? null)),
    said: inWords(a, b, rows, translator(language, words)),
  };
}"""


# --- what the page computes by itself -------------------------------------------------------------


def compared(page: Page, left: str, right: str, language: str = "en") -> dict[str, Any]:
    networks = [to_dict(zoo.build(name)) for name in (left, right)]
    found: dict[str, Any] = page.evaluate(IN_WORDS, [*networks, language])
    return found


def test_two_equal_networks_differ_in_nothing(shared_page: Page) -> None:
    found = compared(shared_page, "lenet", "lenet")
    assert found["rows"] == [[index, index] for index in range(12)]
    assert len(found["said"]) == 1
    assert "same layers and 61,706 parameters" in found["said"][0]


def test_the_tutorials_two_networks_differ_in_padding_pooling_and_size(shared_page: Page) -> None:
    found = compared(shared_page, "lenet", "lenet-max")
    assert found["rows"] == [[index, index] for index in range(12)]
    said = "\n".join(found["said"])
    assert "lenet takes the mean of each window; lenet-max takes the largest value" in said
    assert (
        "C1 Conv2d: padding 2 against 0; its output is 6×28×28 in lenet, 6×24×24 in lenet-max"
    ) in said
    assert "Parameters: lenet has 61,706, lenet-max 44,426 (28% fewer)" in said
    assert "Activation" not in said


def test_the_network_of_1998_beside_the_tutorials(shared_page: Page) -> None:
    found = compared(shared_page, "lenet", "lenet5")
    said = "\n".join(found["said"])
    assert "lenet takes pictures of 1×28×28, lenet5 of 1×32×32" in said
    assert "normalised differently" in said
    assert "C3 Conv2d of lenet5 has 60 of 96 kernels" in said
    assert "lenet makes 120 units with F5 Linear, lenet5 with C5 Conv2d" in said
    assert "an RBF unit measures the distance" in said
    assert "1.7159 · tanh(0.6667 · x)" in said
    pairs = [pair for pair in found["rows"] if None not in pair]
    for pair in ([0, 0], [3, 4], [11, 13]):
        assert pair in pairs


def test_a_network_without_convolutions_is_aligned_at_its_dense_layers(shared_page: Page) -> None:
    found = compared(shared_page, "lenet", "mlp", "zh")
    assert [11, 5] in found["rows"]  # the outputs
    said = "\n".join(found["said"])
    assert "只有 lenet 有：C1 Conv2d" in said
    assert "61,706 个，mlp 有 235,146 个（3.8 倍）" in said


def test_differences_of_settings(shared_page: Page) -> None:
    first = {"name": "a", "epochs": 3, "optimizer": {"method": "sgd", "beta1": 0.9}, "val": 0.0}
    second = {"name": "b", "epochs": 3, "optimizer": {"method": "adam", "beta1": 0.9}, "val": 0.1}
    rows = shared_page.evaluate(
        "async (recipes) => (await import('lenet/compare/settings.js')).differences(recipes)",
        [first, second],
    )
    assert [(row["key"], row["values"]) for row in rows] == [
        ("optimizer.method", ["sgd", "adam"]),
        ("val", ["0", "0.1"]),
    ]


def test_confusion_counts_recall_and_precision(shared_page: Page) -> None:
    labels, predicted = [0, 0, 0, 1, 2], [0, 0, 1, 1, 0]
    counts, figures = shared_page.evaluate(
        """async ([labels, predicted]) => {
          const m = await import("lenet/compare/confusion.js");
          const counts = m.confusion(labels, predicted, 4);
          return [Array.from(counts), m.perClass(counts, 4)];
        }""",
        [labels, predicted],
    )
    assert counts == [2, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert figures[0] == {"recall": 2 / 3, "precision": 2 / 3, "total": 3}
    assert figures[2] == {"recall": 0, "precision": None, "total": 1}
    assert figures[3] == {"recall": None, "precision": None, "total": 0}


# --- with a lab -----------------------------------------------------------------------------------


def names(page: Page) -> list[str]:
    """The runs of the table in its order."""
    found: list[str] = page.locator(".runs tbody tr").evaluate_all(
        "(rows) => rows.map((row) => row.dataset.run)"
    )
    return found


def test_the_table_sorts_and_filters(page: Page, lab: str) -> None:
    open_view(page, lab, "compare")
    expect(page.locator(".runs tbody tr")).to_have_count(len(RUNS))
    assert names(page) == list(reversed(RUNS))  # the newest first
    heading = page.get_by_role("columnheader", name="Parameters")
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert names(page)[-1] == "max-adam"
    expect(heading.get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert names(page)[0] == "max-adam"
    accuracy = page.get_by_role("columnheader", name="Test accuracy")
    accuracy.get_by_role("button").click()
    shown = page.locator(".runs tbody tr").evaluate_all(
        "(rows) => rows.map((row) => parseFloat(row.cells[9].textContent))"
    )
    assert shown == sorted(shown, reverse=True)
    page.get_by_label("Filter").fill("relu 61,706")
    assert names(page) == ["relu-adam"]
    expect(page.get_by_text("1 of 3 runs")).to_be_visible()


def test_a_run_is_starred_deleted_and_brought_back(
    page: Page, served_runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    for name in RUNS:
        shutil.copytree(served_runs / name, folder / name)
    with running_lab(folder) as address:
        open_view(page, address, "compare")
        star = page.get_by_role("button", name="Star sigmoid")
        star.click()
        expect(star).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Delete sigmoid").click()
        expect(page.locator(".runs tbody tr")).to_have_count(2)
        assert not (folder / "sigmoid").exists()
        undo = page.get_by_role("button", name="Undo")
        expect(undo).to_be_focused()
        undo.press("Enter")
        expect(page.locator(".runs tbody tr")).to_have_count(3)
        assert (folder / "sigmoid" / "run.json").is_file()
        expect(page.locator(".undo")).to_be_hidden()

        page.get_by_role("button", name="Delete max-adam").click()
        page.get_by_role("button", name="Close this message").click()
        page.get_by_text("Deleted: 1").click()
        page.get_by_role("button", name="Restore max-adam").click()
        expect(page.locator(".runs tbody tr")).to_have_count(3)
        expect(page.locator(".trash")).to_be_hidden()
        page.close()  # before its lab ends


def test_chosen_runs_stand_over_each_other_with_what_differs(page: Page, lab: str) -> None:
    open_view(page, lab, "compare", "?runs=relu-adam,sigmoid")
    expect(page.locator(".curve-legend li")).to_have_count(2)
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.locator(".results tbody tr")).to_have_count(2)
    expect(page.locator(".results")).to_contain_text("best")
    keys = page.locator(".settings tbody th")
    expect(keys.filter(has_text="optimizer.method")).to_have_count(1)
    expect(keys.filter(has_text="batch_size")).to_have_count(0)
    page.get_by_label("Show all, not only what differs").check()
    expect(keys.filter(has_text="batch_size")).to_have_count(1)
    page.get_by_label("Compare max-adam").check()
    expect(page.locator(".curve-legend li")).to_have_count(3)
    expect(page).to_have_url(re.compile("max-adam"))
    page.locator("[name=measure]").select_option("val_acc")
    expect(page.locator(".curve-legend li").nth(0)).to_contain_text("not measured")
    expect(page.locator(".curve-legend li").nth(2)).to_contain_text("%")
    page.locator("[name=by]").select_option("time")
    label = re.compile(r"held-out accuracy by time \(s\): max-adam \d")
    expect(page.locator(".chart")).to_have_attribute("aria-label", label)


def predicted_by_engine(run: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The labels of the bundled test pictures, and what the run's network makes of them."""
    network, parameters = runs.load_model(run)
    test = data.bundled().test
    choice = engines.choose("auto", network, "cpu")
    engine = engines.make(choice, network, Optimizer(), Objective(), threads=1)
    engine.load(State(parameters))
    return test.labels, engine.logits(test.images).argmax(axis=1)


def test_from_a_cell_of_the_matrix_to_its_pictures_to_explore(
    page: Page, lab: str, served_runs: Path
) -> None:
    labels, predicted = predicted_by_engine(served_runs / "relu-adam")
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, predicted), 1)
    open_view(page, lab, "compare", "?runs=relu-adam")
    cells = page.locator(".matrix button")
    expect(cells).to_have_count(100)
    shown = [int(text.replace(",", "") or 0) for text in cells.all_inner_texts()]
    assert shown == counts.ravel().tolist()

    wrong = counts - np.diag(np.diag(counts))
    row, column = (int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
    cells.first.focus()
    for _ in range(row):
        page.keyboard.press("ArrowDown")
    for _ in range(column):
        page.keyboard.press("ArrowRight")
    cell = page.locator(f".matrix [data-row='{row}'][data-column='{column}']")
    expect(cell).to_be_focused()
    page.keyboard.press("Enter")
    expect(cell).to_have_attribute("aria-pressed", "true")
    pictures = page.locator(".picture-button")
    expect(pictures).to_have_count(min(int(wrong.max()), 48))
    indices = [int(picture.get_attribute("data-index")) for picture in pictures.all()]
    assert {(labels[i], predicted[i]) for i in indices} == {(row, column)}
    sureness = page.locator(".picture-button .caption:first-of-type .number").all_inner_texts()
    shares = [float(text.rstrip("%")) for text in sureness]
    assert shares == sorted(shares, reverse=True)
    pictures.first.click()
    page.wait_for_url(f"**/#/explore?model=run%3Arelu-adam&picture={indices[0]}*")
    page.go_back()
    expect(cell).to_have_attribute("aria-pressed", "true")  # where it was left


def test_two_networks_side_by_side_on_one_picture(page: Page, lab: str) -> None:
    open_view(page, lab, "compare", "?runs=relu-adam,max-adam")
    expect(page.locator(".differences li").first).to_contain_text("Activation: lenet-relu has ReLU")
    rows = page.locator(".pair-layers .pair-columns:not(.pair-names)")
    expect(rows).to_have_count(11)
    expect(rows.first).to_contain_text("6×28×28")
    expect(rows.first).to_contain_text("6×24×24")
    verdict = page.locator(".pair-picture [role=status]")
    expect(verdict).to_contain_text("It is: ")
    before = verdict.inner_text()
    page.locator(".compare-pair").get_by_role("button", name="Next picture").click()
    expect(verdict).not_to_have_text(before)
    page.locator("#pair-right").select_option("sigmoid")
    expect(page.locator(".differences")).to_contain_text("the mean of each window")
    expect(verdict).to_contain_text("lenet")


def test_of_many_runs_some_rows_are_drawn_at_once(
    page: Page, served_runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    for number in range(120):
        run = folder / f"run-{number:03}"
        run.mkdir(parents=True)
        for name in ("run.json", "history.csv", "model.safetensors"):
            os.link(served_runs / "sigmoid" / name, run / name)
    with running_lab(folder) as address:
        open_view(page, address, "compare")
        rows = page.locator(".runs tbody tr")
        expect(rows).to_have_count(25)
        page.get_by_role("button", name="Show 25 more (95 are not shown)").click()
        expect(rows).to_have_count(50)
        expect(page.locator(".more-runs")).to_be_focused()
        page.get_by_label("Filter").fill("run-11")
        expect(rows).to_have_count(10)
        expect(page.locator(".runs-head [role=status]")).to_have_text("10 of 120 runs")
        page.close()  # before its lab ends


def as_if_of_digits(run: Path) -> None:
    """Makes a run, the newest, one that was trained on MNIST."""
    digits = tuple("0123456789")
    network, parameters = load_network(run / "model.safetensors")
    content = pack_network(dataclasses.replace(network, classes=digits), parameters)
    (run / "model.safetensors").write_bytes(content)
    values = json.loads((run / "run.json").read_text())
    values["recipe"]["data"] = values["data"]["name"] = "mnist"
    values["network"]["classes"] = list(digits)
    values["outcome"]["model_sha256"] = hashlib.sha256(content).hexdigest()
    values["started"] = "2030-01-01T00:00:00+00:00"
    (run / "run.json").write_text(json.dumps(values))


def test_networks_of_different_classes_are_not_shown_the_same_picture(
    page: Page, served_runs: Path, tmp_path: Path, problems: list[str]
) -> None:
    folder = Path(shutil.copytree(served_runs, tmp_path / "runs"))
    as_if_of_digits(Path(shutil.copytree(folder / "sigmoid", folder / "digits")))
    with running_lab(folder) as address:
        open_view(page, address, "compare")
        # alone: no other run was measured on its pictures
        expect(page.get_by_role("checkbox", name="Compare digits")).to_be_checked()
        expect(page.get_by_role("checkbox", checked=True)).to_have_count(1)
        # the first two that tell the same apart stand side by side
        expect(page.locator("#pair-left option").first).to_have_text("digits · mnist")
        expect(page.locator("#pair-left")).not_to_have_value("digits")
        expect(page.locator(".pair-layers canvas").first).to_be_visible()
        page.locator("#pair-left").select_option("digits")
        expect(page.locator(".compare-pair .note")).to_contain_text(
            "their classes are not the same"
        )
        expect(page.locator(".pair-layers, .compare-pair .bars")).to_have_count(3)
        expect(page.locator(".compare-pair canvas").first).to_be_hidden()
        expect(page.locator(".compare-pair .class-bars").first).to_be_hidden()
        page.close()  # before its lab ends
    problems[:] = [line for line in problems if "422" not in line]  # where MNIST is not here


def test_the_address_has_the_place_in_compare(page: Page, lab: str) -> None:
    open_view(page, lab, "compare", "?runs=relu-adam,max-adam")
    page.locator(".matrix [data-row='6'][data-column='0']").click()
    page.locator("#pair-right").select_option("sigmoid")
    page.locator(".compare-pair").get_by_role("button", name="Next picture").click()
    page.wait_for_url(
        re.compile("(?=.*matrix=relu-adam)(?=.*cell=6-0)(?=.*right=sigmoid).*picture=1")
    )
    page.reload()
    cell = page.locator(".matrix [data-row='6'][data-column='0']")
    expect(cell).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#pair-right")).to_have_value("sigmoid")
    expect(page.locator(".compare-pair input[type=number]")).to_have_value("1")
    page.goto(f"{lab.partition('#')[0]}#/compare?runs=sigmoid&matrix=sigmoid&cell=99-0&picture=x")
    expect(page.locator("#matrix-run")).to_have_value("sigmoid")
    expect(page.locator(".matrix [aria-pressed=true]")).to_have_count(0)


@pytest.mark.parametrize("language", ["English", "中文"])
def test_on_a_telephone_the_runs_are_a_list(
    new_page: Callable[..., Page], lab: str, language: str
) -> None:
    page = new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    open_view(page, lab, "compare", "?runs=relu-adam,sigmoid", language)
    expect(page.locator(".runs-list > li")).to_have_count(3)
    expect(page.locator(".runs")).to_have_count(0)
    page.locator("#runs-sort").select_option("parameters")
    expect(page.locator(".runs-list > li").last).to_contain_text("max-adam")
    expect(page.locator(".matrix button")).to_have_count(100)
    expect(page.locator(".pair-layers canvas").first).to_be_visible()
    page.locator(".matrix [data-row='6'][data-column='6']").tap()
    expect(page.locator(".picture-button").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_axe_finds_nothing_serious(new_page: Callable[..., Page], lab: str) -> None:
    page = new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
    open_view(page, lab, "compare", "?runs=relu-adam,sigmoid")
    page.locator(".matrix [data-row='6'][data-column='6']").click()

    def ready() -> None:
        expect(page.locator(".picture-button").first).to_be_visible()
        expect(page.locator(".pair-layers canvas").first).to_be_visible()

    assert serious_faults_in_both_themes(page, ready) == []

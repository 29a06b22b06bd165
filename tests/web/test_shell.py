"""The page around the views in a browser: without a token, without its server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from lab_process import PATIENCE_MS, open_view, running_lab
from playwright.sync_api import expect

Page = Any


@pytest.fixture(scope="module")
def folder(trained_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and one that cannot be read; no test changes them."""
    runs = tmp_path_factory.mktemp("shell") / "runs"
    for name in ("sigmoid", "relu-adam"):
        shutil.copytree(trained_runs / name, runs / name)
    (runs / "spoilt").mkdir()
    (runs / "spoilt" / "run.json").write_text("{")
    return runs


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[str]:
    with running_lab(folder) as address:
        yield address


def test_without_a_token_what_changes_something_is_disabled_and_said(
    new_page: Callable[..., Page], lab: str
) -> None:
    page = open_view(new_page(), lab.partition("#")[0], "learn", "?run=sigmoid")
    page.locator(".looking summary").click()
    expect(page.locator(".looking p")).to_contain_text("This address has no token")
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()
    expect(page.locator("[name=network] option", has_text="your own")).to_have_count(0)
    expect(page.get_by_role("button", name="Explore this network")).to_be_enabled()
    page.get_by_role("link", name="Compare").click()
    for name in ("Star sigmoid", "Delete sigmoid"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()


def test_a_second_tab_has_the_token_of_the_first(page: Page, lab: str) -> None:
    held: list[Any] = []
    # before there is a view that writes its own address
    page.route("**/api/state", lambda route: held.append(route))
    page.goto(lab, wait_until="commit")
    while not held:
        page.wait_for_timeout(20)
    assert "token" not in page.url
    held[0].continue_()
    page.unroute("**/api/state")
    expect(page.locator(".view-explore .bars-row")).to_have_count(10, timeout=PATIENCE_MS)
    second = page.context.new_page()
    second.goto(lab.partition("#")[0] + "#/learn")
    expect(second.get_by_role("button", name="Start training")).to_be_enabled(timeout=PATIENCE_MS)
    expect(second.locator(".looking")).to_be_hidden()


def test_a_token_that_a_busy_tab_gives_late_is_taken(page: Page, lab: str) -> None:
    page.add_init_script(
        """
        const post = BroadcastChannel.prototype.postMessage;
        BroadcastChannel.prototype.postMessage = function (message) {
          if (message.token) globalThis.late = { answer: () => post.call(this, message) };
          else post.call(this, message);
        };
        """
    )
    page.goto(lab)
    second = page.context.new_page()
    second.goto(lab.partition("#")[0] + "#/learn")
    expect(second.locator(".looking")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_function("globalThis.late", polling=50)  # no frames: it is behind the other
    page.evaluate("late.answer()")
    expect(second.get_by_role("button", name="Start training")).to_be_enabled(timeout=PATIENCE_MS)
    expect(second.locator(".looking")).to_be_hidden()


def test_a_tab_without_a_token_takes_that_of_an_address_opened_later(page: Page, lab: str) -> None:
    page.goto(lab.partition("#")[0] + "#/learn")
    expect(page.locator(".looking")).to_be_visible(timeout=PATIENCE_MS)
    page.context.new_page().goto(lab)
    expect(page.get_by_role("button", name="Start training")).to_be_enabled(timeout=PATIENCE_MS)
    expect(page.locator(".looking")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "said"),
    [("never", "There is no run called never here"), ("spoilt", "spoilt/run.json cannot be read")],
)
def test_a_run_that_is_not_there_is_not_replaced_by_another(
    page: Page, lab: str, name: str, said: str, problems: list[str]
) -> None:
    open_view(page, lab, "learn", f"?run={name}")
    expect(page.locator(".gone")).to_contain_text(said)
    expect(page.locator(".run")).to_be_hidden()
    expect(page.locator(".run-choice")).to_have_count(2)
    page.goto(f"{lab.partition('#')[0]}#/compare?runs=sigmoid,{name}")
    expect(page.locator(".missing-runs li")).to_contain_text(said)
    expect(page.locator(".run-faults li")).to_contain_text("spoilt")
    page.goto(f"{lab.partition('#')[0]}#/explore?model=run:{name}")
    expect(page.locator(".gone p").first).to_contain_text(name)
    expect(page.locator(".explore")).to_be_hidden()
    page.locator(".gone").get_by_role("link", name="sigmoid").click()
    expect(page.locator(".explore")).to_be_visible()
    expect(page.locator(".gone")).to_be_hidden()
    problems[:] = [line for line in problems if "404" not in line]  # what was provoked


def test_a_run_that_is_deleted_while_it_is_open_says_so_and_comes_back(
    page: Page, folder: Path, tmp_path: Path, problems: list[str]
) -> None:
    runs = Path(shutil.copytree(folder, tmp_path / "runs"))
    with running_lab(runs) as address:
        open_view(page, address, "explore", "?model=run:sigmoid")
        expect(page.locator(".bars-row").first).to_be_visible()
        shutil.move(runs / "sigmoid", tmp_path / "elsewhere")
        expect(page.locator("#view > .failure")).to_contain_text(
            "sigmoid is no longer in the folder"
        )
        expect(page.locator(".bars-row").first).to_be_visible()  # what was loaded stays
        shutil.move(tmp_path / "elsewhere", runs / "sigmoid")
        page.evaluate("location.hash = '#/learn?run=sigmoid'")
        expect(page.locator(".run-name")).to_have_text("sigmoid")
        shutil.move(runs / "sigmoid", tmp_path / "elsewhere")
        expect(page.locator(".gone")).to_contain_text("sigmoid")
        expect(page.locator(".run")).to_be_hidden()
        shutil.move(tmp_path / "elsewhere", runs / "sigmoid")
        expect(page.locator(".run")).to_be_visible()
        expect(page.locator(".gone")).to_be_hidden()
        page.close()  # before its lab ends
    problems[:] = [line for line in problems if "404" not in line]  # what was just being asked


def test_a_lab_without_runs_says_what_to_do(page: Page, folder: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(folder / "sigmoid", runs / "sigmoid")
    with running_lab(runs) as address:  # which begins nothing by itself: it has a run
        shutil.rmtree(runs / "sigmoid")
        open_view(page, address, "learn")
        expect(page.locator(".empty")).to_contain_text(str(runs))
        page.get_by_role("link", name="Compare").click()
        expect(page.locator(".empty")).to_contain_text("Nothing to compare yet")
        page.get_by_role("link", name="Explore").click()
        page.get_by_role("button", name="Train the first network").click()
        expect(page.locator(".run-name")).to_contain_text("quickstart")
        expect(page.locator(".learn-welcome .empty")).to_be_hidden()
        page.close()  # before its lab ends


def test_while_a_network_is_loaded_nothing_can_be_asked_of_it(page: Page, lab: str) -> None:
    held: list[Any] = []
    holding = [True]

    def hold(route: Any) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/models/*/weights", hold)
    open_view(page, lab, "explore", "?model=run:sigmoid&picture=3")
    expect(page.locator(".verdict")).to_have_text("The network is being loaded …")
    for part in (".headline-actions", ".headline-network", ".part-input", ".lens-head"):
        expect(page.locator(part)).to_be_hidden()
    while not held:
        page.wait_for_timeout(50)
    holding.clear()
    for route in held:
        route.continue_()
    expect(page.locator(".verdict")).to_contain_text("This network says")
    expect(page.get_by_role("button", name="Draw your own")).to_be_visible()


def test_a_change_of_the_view_before_does_not_reach_the_next_address(page: Page, lab: str) -> None:
    open_view(page, lab, "learn", "?run=relu-adam&step=40")
    expect(page.locator(".where")).to_contain_text("step 40")
    page.evaluate(
        """() => {
            location.hash = "#/learn?run=sigmoid";
            const slider = document.getElementById("moment");
            slider.value = 0;
            slider.dispatchEvent(new Event("input"));
        }"""
    )
    expect(page.locator(".run-name")).to_have_text("sigmoid")
    assert "step" not in page.evaluate("location.hash")


def test_each_view_is_found_again_as_it_was_left(page: Page, lab: str) -> None:
    open_view(page, lab, "learn", "?run=relu-adam&step=40")
    expect(page.locator(".where")).to_contain_text("step 40")
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("checkbox", name="Compare sigmoid").uncheck()
    page.get_by_role("link", name="Learn", exact=True).click()
    expect(page.locator(".where")).to_contain_text("step 40")
    page.locator("#moment").press("Home")
    page.reload()  # at once: the address is already written
    expect(page.locator(".where")).to_contain_text("step 0")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("checkbox", name="Compare relu-adam")).to_be_checked()
    page.go_back()
    page.wait_for_url(re.compile("step=0"))


def test_a_slider_that_is_dragged_does_not_wear_out_the_address(page: Page, lab: str) -> None:
    """Browsers refuse what changes the address too often, and say so in the console."""
    open_view(page, lab, "learn", "?run=relu-adam&step=40")
    expect(page.locator(".where")).to_contain_text("step 40")
    changes, ms = page.evaluate(
        """async () => {
            let changes = 0;
            const began = performance.now();
            const change = history.replaceState;
            history.replaceState = function (...to) { changes += 1; change.apply(this, to); };
            const slider = document.getElementById("moment");
            for (let i = 0; i < 60; i++) {
                slider.value = i % 2;
                slider.dispatchEvent(new Event("input"));
                if (slider.value !== String(i % 2)) changes = NaN; // the next key counts from here
                await new Promise((resolve) => setTimeout(resolve, 2));
            }
            return [changes, performance.now() - began];
        }"""
    )
    assert 20 <= changes <= 25 + ms / 300  # the strictest browser allows 100 in 30 s
    page.wait_for_url(re.compile(r"step=\d+"))
    expect(page.locator("#moment")).to_have_value("1")


def test_what_waits_to_be_written_is_not_written_into_another_view_s_address(
    page: Page, lab: str
) -> None:
    open_view(page, lab, "learn", "?run=relu-adam&step=40")
    expect(page.locator(".where")).to_contain_text("step 40")
    left = page.evaluate(
        """() => {
            const slider = document.getElementById("moment");
            for (let i = 0; i < 60; i++) {
                slider.value = i % 2;
                slider.dispatchEvent(new Event("input"));
            }
            location.hash = "#/compare";
            dispatchEvent(new Event("pagehide")); // comes before the change of the hash is told
            return location.hash;
        }"""
    )
    assert left == "#/compare"
    expect(page.locator(".view-compare")).to_be_visible()


def test_in_chinese_the_server_s_sentences_recipes_and_classes_are_too(
    page: Page, lab: str, problems: list[str]
) -> None:
    open_view(page, lab, "learn", "?run=spoilt", "中文")
    expect(page.locator(".gone")).to_contain_text("无法读取")
    page.locator("[name=recipe]").select_option("quickstart")
    expect(page.locator(".recipe-about")).to_contain_text("用程序自带的图片")
    page.locator("[name=network]").select_option(label="自定义……")
    page.locator("#own-layers").fill("Linear(784, 10)")
    expect(page.locator(".own-result")).to_contain_text("第 1 行：第 0 层（Linear）需要")
    page.goto(f"{lab.partition('#')[0]}#/learn?run=sigmoid")
    expect(page.locator(".learn-remarks")).to_contain_text("Sigmoid 网络大约要")
    expect(page.locator(".learn-remarks [lang=zh-CN]")).to_have_count(3)
    expect(page.locator(".class-bars")).to_contain_text("套衫")
    page.locator("#language").click()
    expect(page.locator(".class-bars")).to_contain_text("pullover")
    expect(page.locator(".learn-remarks [lang=en]").nth(1)).to_contain_text("Sigmoid networks")
    problems[:] = [line for line in problems if "422" not in line]  # the wrong line, provoked


def test_with_the_reader_s_own_colours_what_is_chosen_is_seen(
    new_page: Callable[..., Page], lab: str
) -> None:
    page = open_view(new_page(forced_colors="active"), lab, "compare", "?runs=sigmoid")

    def colour(selector: str, name: str) -> str:
        script = "(element, name) => getComputedStyle(element)[name]"
        found: str = page.locator(selector).first.evaluate(script, name)
        return found

    chosen, other = "nav.views a[aria-current]", "nav.views a:not([aria-current])"
    assert colour(chosen, "borderBottomColor") != colour(other, "borderBottomColor")
    expect(page.locator(".matrix button").first).to_be_visible()
    shares = [f".matrix [data-row='{i}'][data-column='{i}']" for i in range(10)]
    assert len({colour(cell, "backgroundColor") for cell in shares}) > 1  # data keep their colours
    assert colour(".runs tr.chosen", "outlineStyle") == "solid"


def test_a_fault_of_a_server_that_ends_is_not_told_beside_its_end(
    page: Page, lab: str, problems: list[str]
) -> None:
    page.route("**/api/models/**", lambda route: route.fulfill(status=500, body="a fault"))
    page.route("**/web/store.js", lambda route: route.abort())  # by then it has ended
    open_view(page, lab, "explore", "?model=run:sigmoid")
    page.wait_for_timeout(1_500)
    assert page.locator("#view").inner_text().count("500") == 0
    page.unroute("**/web/store.js")
    page.reload()
    expect(page.locator(".gone")).to_contain_text("500 Internal Server Error")
    problems.clear()


def test_a_server_that_is_gone_is_told_in_every_view_and_found_again(
    page: Page, folder: Path, tmp_path: Path, problems: list[str]
) -> None:
    runs = Path(shutil.copytree(folder, tmp_path / "runs"))
    with running_lab(runs) as address:
        port = urlsplit(address).port
        open_view(page, address, "explore")
        expect(page.locator(".connection")).to_be_hidden()
    expect(page.locator(".connection")).to_contain_text("The lab does not answer")
    page.evaluate("location.hash = '#/learn?run=relu-adam'")
    expect(page.locator(".connection")).to_be_visible()
    assert port is not None
    with running_lab(runs, port) as again:
        expect(page.locator(".connection")).to_contain_text("answers again")
        # what could not be asked meanwhile is there, and nothing says that it was not
        expect(page.locator(".moment-picture canvas")).to_be_visible()
        assert "answer" not in page.locator("#view").inner_text()
        expect(page.locator(".looking")).to_be_visible()  # its token is another one now
        page.goto("about:blank")
        open_view(page, again, "learn")
        expect(page.locator(".looking")).to_be_hidden()
        page.close()
    # the browser's own words for it, and a server's that ends while it answers
    told = ("ERR_CONNECTION", "ERR_INCOMPLETE", "status of 500", "status of 503")
    problems[:] = [line for line in problems if not any(words in line for words in told)]

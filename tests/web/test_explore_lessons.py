"""Lessons in Explore: the tour, answers that the page checks, the challenges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from accessibility import serious_faults
from explore_view import pixels_of, state, until

from lenet.lab.lessons.reading import built_in


def panel(page: Any) -> Any:
    return page.get_by_role("complementary", name="Lesson")


def press(page: Any, name: str) -> None:
    panel(page).get_by_role("button", name=name, exact=True).click()
    page.evaluate("settled()")


def reply(page: Any) -> str:
    text: str = panel(page).locator(".lesson-reply").inner_text()
    return text


def test_the_tour_is_offered_walked_and_remembered(explore: Any) -> None:
    page = explore()
    page.get_by_role("button", name="Tour", exact=True).click()
    steps = built_in()[0]["steps"]
    assert panel(page).evaluate("panel => panel === document.activeElement")
    assert page.locator(".verdict-part.lit, .maps-slot.lit").count() == 2
    press(page, "Next")
    page.keyboard.press("ArrowRight")  # the keys, too
    page.evaluate("settled()")
    assert "3 of 8" in panel(page).inner_text()
    assert page.locator(".part-lens.lit").count() == 1
    pinned = state(page, "unit")
    page.locator('.maps-layer[data-layer="5"] canvas').click(position={"x": 9, "y": 9})
    until(page, "document.querySelector('.lesson-reply.is-right')")
    assert state(page, "unit") != pinned
    assert "lesson=tour.3" in page.url
    page.evaluate("mount(location.hash.slice(2), 'zh', 'dark')")  # it is still that step
    page.evaluate("settled()")
    assert steps[2]["text"]["zh"] in page.locator(".lesson").inner_text()
    page.evaluate("mount(location.hash.slice(2))")
    page.evaluate("settled()")
    for _ in steps[3:]:
        press(page, "Next" if panel(page).get_by_role("button", name="Next").count() else "Finish")
    press(page, "Finish")
    assert "That was the lesson" in panel(page).inner_text()
    assert page.locator(".lit").count() == 0
    panel(page).get_by_role("button", name="Go on with").click()  # to the first lesson
    assert "1. A picture is numbers" in panel(page).inner_text()
    page.keyboard.press("Escape")
    assert panel(page).count() == 0
    assert "lesson=" not in page.url
    assert page.get_by_role("button", name="Tour", exact=True).count() == 0  # it was taken
    page.locator(".lesson-menu summary").click()
    assert "done" in page.locator(".lesson-list li").first.inner_text()
    assert page.locator(".lesson-list li").count() == len(built_in())


def test_answers_are_checked(explore: Any) -> None:
    page = explore("lesson=convolution.3")
    until(page, "document.querySelector('.lesson-answer input')")
    answer = panel(page).get_by_label("Your answer")
    for text, said in [("many", "Write a number"), ("150", "Not yet"), ("156", "Right")]:
        answer.fill(text)
        press(page, "Check")
        assert said in reply(page)
    press(page, "Next")  # a negative sum is to be pinned: a positive one is not
    until(page, "store.get().pinned")
    signs = page.evaluate(
        "() => [1, -1].map((sign) => store.get().outputs[0].findIndex((x) => sign * x > 0.01))"
    )
    for index, said in zip(signs, ("Not yet", "Right"), strict=True):
        page.evaluate("index => store.set({ unit: { layer: 0, index }, pinned: true })", index)
        assert said in reply(page)
    press(page, "Next")
    until(page, "document.querySelector('.lesson-answer input')")
    press(page, "Show the answer")
    assert answer.input_value() == "16"
    press(page, "Back")
    assert "Right" in reply(page)  # what was answered stays

    page = explore("lesson=pooling.5")
    until(page, "document.querySelector('.lesson-answer button')")
    press(page, "A quarter to each")
    assert "Not yet" in reply(page)
    press(page, "All to the largest number")
    assert "Only the largest" in reply(page)
    page = explore("lesson=classes.3")
    until(page, "document.querySelector('.lesson-answer input')")
    share = "li:has(.bars-true:not(:empty)) .bars-share"
    until(page, f"document.querySelector('{share}')")
    shown = page.locator(share).inner_text()
    panel(page).get_by_label("Your answer").fill(shown)  # what the page itself shows
    press(page, "Check")
    assert "Right" in reply(page)
    # an address with a lesson, or a step, that is not there is no address of a lesson
    assert panel(explore("lesson=nothing.7")).count() == 0
    assert "6 of 6" in panel(explore("lesson=classes.99")).inner_text()


def test_a_lesson_says_which_network_it_needs(explore: Any) -> None:
    page = explore("model=run:own&lesson=pooling")
    assert "needs a network with C1, S2, C3, S4" in panel(page).inner_text()
    page.evaluate("mount('model=run:fashion&lesson=pooling')")
    page.evaluate("settled()")
    until(page, "document.querySelector('.lesson-answer input')")


def test_five_pixels(explore: Any) -> None:
    page = explore("lesson=five-pixels")
    until(page, "document.querySelector('.lesson-answer .buttons')")
    page.evaluate("settled()")
    label, before = state(page, "picture")["label"], pixels_of(page)
    assert page.evaluate("store.get().picture.label !== null")

    def flip(index: int) -> None:
        page.evaluate("i => store.set({ unit: { layer: -1, index: i }, pinned: true })", index)
        page.evaluate("settled()")

    flip(0)
    flip(0)  # and back
    np.testing.assert_array_equal(pixels_of(page), before)
    assert "0 of 5" in panel(page).inner_text()
    # the pixels that change the true class's logit most, one after the other
    for _ in range(5):
        best = page.evaluate(
            """async () => {
              const { model, traced, pixels } = store.get();
              const { label } = store.get().picture;
              let [best, lowest] = [0, Infinity];
              for (let i = 0; i < pixels.length; i++) {
                const next = pixels.slice();
                next[i] = next[i] < 128 ? 255 : 0;
                const { forward, normalize } = network;
                const x = normalize(model.network, next);
                const z = forward(model.network, model.weights, x, { traced }).at(-1);
                const others = Math.max(...z.filter((_, n) => n !== label));
                if (z[label] - others < lowest) [best, lowest] = [i, z[label] - others];
              }
              return best;
            }"""
        )
        flip(best)
        if panel(page).locator(".lesson-reply.is-right").count():
            break
    assert "five of them were enough" in reply(page)
    assert (pixels_of(page) != before).sum() <= 5
    assert state(page, "picture")["label"] == label
    press(page, "All pixels as they were")
    np.testing.assert_array_equal(pixels_of(page), before)


def test_a_kernel_is_repaired_by_hand_and_not_by_undo(explore: Any) -> None:
    page = explore("lesson=repair")
    until(page, "document.querySelector('.lesson-answer')?.innerText.includes('is all zeros')")
    page.evaluate("settled()")
    assert "the true class is" in page.locator(".verdict").inner_text()
    page.get_by_role("button", name="Undo").click()
    page.evaluate("settled()")
    assert "as it was trained" in panel(page).inner_text()
    assert reply(page) == ""
    press(page, "Set it to zero again")
    trained = page.evaluate(
        """() => {
          const { unit, traced, model } = store.get();
          const [, rows, columns] = traced[unit.layer].outputShape;
          const channel = Math.floor(unit.index / (rows * columns));
          return [...model.weights.get("0.weight").data.slice(channel * 25, channel * 25 + 25)];
        }"""
    )
    cells = page.locator(".kernel-grid button")
    for cell, value in enumerate(trained):  # typed, as somebody would who copies it
        cells.nth(cell).click()
        page.locator(".weight-value input[type=number]").first.fill(str(value))
        if page.locator(".lesson-reply.is-right").count():
            break
    until(page, "document.querySelector('.lesson-reply.is-right')")


def test_the_verdict_is_hidden_until_it_is_foreseen(explore: Any) -> None:
    page = explore("lesson=guess")
    until(page, "document.querySelector('.guess-classes button')")
    page.evaluate("settled()")
    for _ in range(5):
        until(page, "store.get().guessing")
        page.evaluate("settled()")
        assert not page.locator(".verdict").is_visible()
        assert not page.locator(".bars").is_visible()
        said = page.evaluate(
            "() => { const z = store.get().outputs.at(-1); return z.indexOf(Math.max(...z)); }"
        )
        panel(page).locator(".guess-classes button").nth(said).click()
        assert page.locator(".verdict").is_visible()
        assert "Yes: it says" in panel(page).inner_text()
        if panel(page).get_by_role("button", name="Next picture").count():
            press(page, "Next picture")
    assert "Right." in reply(page)
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('.guessing')")


@pytest.mark.parametrize("size", [(1440, 900), (360, 740)])
def test_the_panel_hides_nothing_and_axe_finds_nothing(explore: Any, size: tuple[int, int]) -> None:
    page = explore("lesson=convolution.1")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    until(page, "document.querySelector('.lesson-answer input')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = panel(page).bounding_box()
    for name in ("Next", "Leave the lesson (Escape)"):
        inside = panel(page).get_by_role("button", name=name).bounding_box()
        assert inside["y"] >= box["y"]
        assert inside["y"] + inside["height"] <= size[1] + 1
    for theme in ("light", "dark"):
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        assert serious_faults(page, within="main") == []

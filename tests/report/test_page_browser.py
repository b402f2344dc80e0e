"""The report in a real browser: it sorts, filters, opens cards, works by keyboard, and fits a telephone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from croftbench.report import page as report

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[dev]'")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
Select = pytest.importorskip("selenium.webdriver.support.ui").Select

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync"""

pytestmark = pytest.mark.skipif(
    not CHROMIUM or not DRIVER, reason="needs chromium and chromedriver (Debian: chromium chromium-driver)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium with a new profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def built() -> list[Path]:
    """The page of this module, once there is one: drawing it takes longer than looking at it."""
    return []


@pytest.fixture
def site(built, measure, tiny, tmp_path) -> Path:
    """Two suites; in the first two ranked methods and one that lacks seeds."""
    if built:
        return built[0]
    suite, other = tiny(), replace(tiny(), name="other")
    for seed in (1, 2, 3):
        measure(suite, seed, 1.5)
        measure(suite, seed, 0.5, method="zero-shot", params={})
        measure(other, seed, 1.0, method="coop")
    measure(suite, 2, 2.0, method="tip-adapter")
    built.append(report.write(tmp_path, [suite, other], tmp_path / "site"))
    return built[0]


@pytest.fixture
def page(browser, site):
    """The page at 1280 x 900; it must not have written to the console when the test is over."""
    resize(browser, 1280)
    browser.get(site.as_uri())
    browser.get_log("browser")
    yield browser
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def resize(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def methods(browser):
    """Names of the visible rows of the visible joint table."""
    rows = browser.find_elements(By.CSS_SELECTOR, ".joint tbody tr:not(.label) .name")
    return [row.text.removesuffix(" ◆") for row in rows if row.is_displayed()]


def head(browser, text):
    return next(
        h for h in browser.find_elements(By.CSS_SELECTOR, ".joint thead th") if h.is_displayed() and text in h.text
    )


def press(browser, *keys):
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def focused(browser):
    return browser.switch_to.active_element


def tip(browser):
    box = browser.find_element(By.ID, "tip")
    return box.text if box.is_displayed() else ""


def test_it_opens_without_a_word_on_the_console(browser, site):
    browser.get(site.as_uri())
    assert browser.get_log("browser") == []
    assert browser.title == "croftbench report"
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert methods(browser) == ["croft", "zero-shot", "tip-adapter"]


def test_sorting_says_what_it_did_and_leaves_the_unranked_below(page):
    covariate, far = head(page, "covariate mean"), head(page, "FPR95 ↓\nfar")
    assert covariate.get_attribute("aria-sort") == "descending"
    covariate.find_element(By.TAG_NAME, "button").click()
    assert covariate.get_attribute("aria-sort") == "ascending"
    assert methods(page) == ["zero-shot", "croft", "tip-adapter"]
    far.find_element(By.TAG_NAME, "button").click()
    assert far.get_attribute("aria-sort") == "ascending"  # lower is better: the best comes first
    assert covariate.get_attribute("aria-sort") is None
    assert methods(page) == ["croft", "zero-shot", "tip-adapter"]


def test_filter_by_words(page):
    box = page.find_element(By.ID, "filter")
    box.send_keys("ZERO emoji")
    assert methods(page) == ["zero-shot"]
    assert page.find_element(By.ID, "count").text == "1 of 3 rows"
    assert "Not ranked" not in page.find_element(By.CSS_SELECTOR, ".joint").text
    box.send_keys("x")
    assert methods(page) == []
    box.send_keys(Keys.CONTROL + "a", Keys.DELETE)
    assert len(methods(page)) == 3


def test_suite_and_metric_picker(page):
    Select(page.find_element(By.ID, "metric")).select_by_value("auroc")
    shown = [h.text for h in page.find_elements(By.CSS_SELECTOR, ".joint thead th") if h.is_displayed()]
    assert not any("FPR95" in text or "Acc" in text for text in shown)
    assert sum("AUROC" in text for text in shown) == 4
    Select(page.find_element(By.ID, "suite")).select_by_visible_text("other")
    assert methods(page) == ["coop"]
    assert [h.text for h in page.find_elements(By.TAG_NAME, "h2") if h.is_displayed()] == ["other: A tiny suite"]


def test_interval_on_hover(page):
    cell = page.find_element(By.CSS_SELECTOR, ".joint td.number")
    webdriver.ActionChains(page).move_to_element(cell).perform()
    assert tip(page) == cell.get_attribute("data-tip")
    assert "95% over images" in tip(page)
    webdriver.ActionChains(page).move_to_element(page.find_element(By.TAG_NAME, "h1")).perform()
    assert tip(page) == ""


def test_intervals_by_keyboard(page):
    """One Tab stop in the table; arrows move; Escape hides; hidden columns are skipped."""
    Select(page.find_element(By.ID, "metric")).select_by_value("fpr95")
    page.find_elements(By.CSS_SELECTOR, ".joint .open")[0].send_keys(Keys.TAB)
    first = focused(page)
    assert first.get_attribute("data-group") == "fpr95"
    assert tip(page) == first.get_attribute("data-tip")
    assert first.get_attribute("aria-describedby") == "tip"
    press(page, Keys.ARROW_RIGHT)
    assert focused(page) != first
    assert tip(page) == focused(page).get_attribute("data-tip")
    assert focused(page).value_of_css_property("outline-style") == "solid"
    press(page, Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    assert focused(page).find_element(By.XPATH, "..").text.startswith("2 zero-shot")
    press(page, Keys.ARROW_DOWN)
    assert "tip-adapter" in focused(page).find_element(By.XPATH, "..").text  # past the label between the parts
    press(page, Keys.ESCAPE)
    assert tip(page) == ""
    stops = page.find_elements(By.CSS_SELECTOR, "section:not([hidden]) .joint td[tabindex='0']")
    assert stops == [focused(page)]


def test_a_card_opens_and_closes_by_keyboard_and_gives_the_focus_back(page):
    button = page.find_elements(By.CSS_SELECTOR, ".joint .open")[1]
    button.send_keys(Keys.ENTER)
    card = page.find_element(By.ID, button.get_attribute("data-card"))
    assert card.is_displayed()
    assert "croftbench run --suite tiny --method zero-shot" in card.text
    assert "python" in card.text.lower()
    press(page, Keys.ESCAPE)
    assert not card.is_displayed()
    assert focused(page) == button
    button.click()
    card.find_element(By.CSS_SELECTOR, ".close").click()
    assert not card.is_displayed()


def test_sorting_by_keyboard(page):
    button = head(page, "ID").find_element(By.TAG_NAME, "button")
    button.send_keys(Keys.ENTER)
    assert head(page, "ID").get_attribute("aria-sort") == "descending"
    press(page, Keys.SPACE)
    assert head(page, "ID").get_attribute("aria-sort") == "ascending"
    assert methods(page) == ["zero-shot", "croft", "tip-adapter"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(page, width, scheme):
    resize(page, width)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.execute_script(overflow) == 0
    assert contrast(page, "body") > 7
    assert contrast(page, ".hint") > 4.5
    assert contrast(page, ".open") > 4.5
    button = page.find_element(By.CSS_SELECTOR, ".joint .open")
    button.click()
    assert page.execute_script(overflow) == 0
    card = page.find_element(By.ID, button.get_attribute("data-card"))
    assert card.rect["width"] <= width
    assert page.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", card)
    for figure in page.find_elements(By.CSS_SELECTOR, "section:not([hidden]) .plot .scroll"):
        assert page.execute_script("return arguments[0].clientWidth", figure) <= width


@pytest.mark.parametrize(("width", "least"), [(1280, 6), (390, 4)])
def test_headline_columns_are_in_sight_and_names_on_one_line(page, width, least):
    resize(page, width)
    heads = page.find_elements(By.CSS_SELECTOR, "section:not([hidden]) .joint thead th[data-group]")
    inside = [head for head in heads if head.rect["x"] + head.rect["width"] <= width]
    assert len(inside) >= least
    names = page.find_elements(By.CSS_SELECTOR, "section:not([hidden]) .joint .open")
    assert names and all(name.rect["height"] < 34 for name in names)


def contrast(browser, selector):
    """WCAG's contrast ratio of an element's text on the page."""
    script = (
        "const c = getComputedStyle(arguments[0]); return [c.color, getComputedStyle(document.body).backgroundColor]"
    )
    colours = browser.execute_script(script, browser.find_element(By.CSS_SELECTOR, selector))

    def luminance(text):
        parts = [int(part) / 255 for part in text[text.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)

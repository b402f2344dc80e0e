"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const shown = (element) => element.offsetParent !== null;
const suite = document.getElementById("suite");
const metric = document.getElementById("metric");
const filter = document.getElementById("filter");
const count = document.getElementById("count");
const tip = document.getElementById("tip");

// Which suite, which columns, which rows.
function pick() {
  for (const section of all("section.suite")) section.hidden = section.id !== suite.value;
  for (const cell of all(".joint [data-group]")) cell.hidden = metric.value !== "" && cell.dataset.group !== metric.value;
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const body of all(".joint tbody")) {
    const rows = all("tr:not(.label)", body);
    for (const row of rows) {
      const text = all("[data-value]", row).slice(1, 3).map((cell) => cell.dataset.value.toLowerCase()).join(" ");
      row.hidden = !words.every((word) => text.includes(word));
    }
    body.hidden = rows.every((row) => row.hidden);
  }
  const rows = all(`#${suite.value} .joint tbody tr:not(.label)`);
  count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  stops();
  hide();
}
for (const list of [suite, metric]) list.addEventListener("change", pick);
filter.addEventListener("input", pick);

// Sorting: ranked, unranked and published rows each keep to their own part; rows without a value come last.
function sort(head) {
  const table = head.closest("table");
  const column = [...head.parentElement.children].indexOf(head);
  const other = { ascending: "descending", descending: "ascending" };
  const direction = other[head.getAttribute("aria-sort")] ?? head.dataset.first;
  for (const each of all("thead th", table)) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const key = (row) => row.children[column].dataset.value;
  const compare = head.dataset.kind === "number" ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
  for (const body of table.tBodies) {
    const rows = all("tr:not(.label)", body);
    const empty = rows.filter((row) => key(row) === "");
    const full = rows.filter((row) => key(row) !== "");
    body.append(...full.sort((a, b) => sign * compare(key(a), key(b))), ...empty);
  }
}

// Intervals: on hover and on focus, never only on one of them.
function show(cell) {
  tip.textContent = cell.dataset.tip;
  tip.hidden = false;
  const at = cell.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = at.top - tip.offsetHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 0 ? above : at.bottom + 6}px`;
  cell.setAttribute("aria-describedby", "tip");
}
function hide() {
  tip.hidden = true;
  for (const cell of all("[aria-describedby=tip]")) cell.removeAttribute("aria-describedby");
}
function tipped(event) {
  return event.target instanceof Element ? event.target.closest("[data-tip]") : null;
}
function over(event) {
  hide();
  const cell = tipped(event);
  if (cell) show(cell);
}
document.addEventListener("mouseover", over);
document.addEventListener("focusin", over);
document.addEventListener("focusout", hide);
document.addEventListener("scroll", hide, true);

// One stop of the Tab key a table; arrow keys move from number to number.
function stop(table, cell) {
  for (const each of all("[data-tip][tabindex='0']", table)) each.tabIndex = -1;
  if (cell) cell.tabIndex = 0;
}
function stops() {
  for (const table of all("table").filter(shown)) {
    const current = table.querySelector("[data-tip][tabindex='0']");
    if (!current || !shown(current)) stop(table, all("[data-tip]", table).find(shown));
  }
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hide();
  const cell = tipped(event);
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  const rows = all("tbody tr", cell.closest("table")).filter((row) => shown(row) && row.querySelector("[data-tip]"));
  const row = rows[rows.indexOf(cell.parentElement) + step[0]];
  const line = row ? all("td", row).filter(shown) : [];
  const column = all("td", cell.parentElement).filter(shown).indexOf(cell) + step[1];
  const next = line[column];
  if (!next?.dataset.tip) return;
  stop(cell.closest("table"), next);
  next.scrollIntoView({ block: "nearest", inline: "center" });
  next.focus({ preventScroll: true });
  show(next);
});

document.addEventListener("click", (event) => {
  const head = event.target.closest(".joint thead th");
  if (head && event.target.closest("button")) sort(head);
  const open = event.target.closest("[data-card]");
  if (open) document.getElementById(open.dataset.card).showModal();
  if (event.target instanceof HTMLDialogElement) event.target.close(); // the backdrop
});

document.querySelector(".controls").hidden = false;
document.documentElement.classList.add("scripted");
pick();

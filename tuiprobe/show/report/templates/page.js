"use strict";
// Sorts and filters tables, names points of a figure, enlarges pictures. Without it the page says the same.

function sortByColumn(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const number = cell => cell.dataset.v === undefined ? NaN : Number(cell.dataset.v);
  const compare = column => (a, b) => {
    const [first, second] = [a.cells[column], b.cells[column]];
    const [x, y] = [number(first), number(second)];
    if (!isNaN(x) && !isNaN(y)) return x - y;
    if (!isNaN(x) || !isNaN(y)) return isNaN(x) ? 1 : -1;
    return first.textContent.localeCompare(second.textContent, "en", { numeric: true });
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sorted = [...rows].sort(compare(column));
      body.append(...(descending ? sorted.reverse() : sorted));
    });
  });
  return rows;
}

function filterByWords(table, rows) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  label.className = "filter";
  input.type = "search";
  label.append("Filter", input, count);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let matches = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      matches += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${matches} of ${rows.length} rows` : "";
  });
}

function nameThePoints(figure) {
  const points = [...figure.querySelectorAll(".point")];
  const name = figure.querySelector(".reading");
  const x = point => point.getBoundingClientRect().x;
  let order = null;
  const showName = point => { name.textContent = point.querySelector("title").textContent; };
  name.textContent = "Point at a model, or focus one and use the arrow keys, to read its name.";
  points.forEach((point, i) => {
    point.setAttribute("tabindex", i ? "-1" : "0");
    point.addEventListener("mouseenter", () => showName(point));
    point.addEventListener("focus", () => showName(point));
  });
  figure.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const point = event.target.closest(".point");
    if (!step || !point) return;
    event.preventDefault();
    order = order || [...points].sort((a, b) => x(a) - x(b));
    const next = order[(order.indexOf(point) + step + order.length) % order.length];
    point.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

function enlarge(picture) {
  const dialog = document.createElement("dialog");
  const large = document.createElement("img");
  const name = document.createElement("p");
  large.src = picture.src;
  large.alt = picture.alt;
  name.textContent = picture.parentElement.textContent.trim();
  dialog.className = "large";
  dialog.append(large, name);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function unfold() {
  let place = location.hash && document.getElementById(location.hash.slice(1));
  for (; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
}

for (const table of document.querySelectorAll("table.data")) {
  const rows = sortByColumn(table);
  if (rows.length >= 8) filterByWords(table, rows);
}
for (const figure of document.querySelectorAll("figure")) {
  if (figure.querySelector(".point")) nameThePoints(figure);
}
for (const picture of document.querySelectorAll(".pictures img")) {
  picture.tabIndex = 0;
  picture.setAttribute("role", "button");
  picture.addEventListener("click", () => enlarge(picture));
  picture.addEventListener("keydown", event => { if (event.key === "Enter") enlarge(picture); });
}
document.addEventListener("keydown", event => {
  if (event.key === "Escape") document.body.classList.add("quiet");
});
for (const event of ["pointermove", "focusin"]) {
  document.addEventListener(event, () => document.body.classList.remove("quiet"));
}
addEventListener("hashchange", unfold);
unfold();

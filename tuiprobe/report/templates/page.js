"use strict";
// Sorts and filters tables, and names points of a figure. Without it the page says the same.

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const number = cell => cell.dataset.v === undefined ? NaN : Number(cell.dataset.v);
  const compare = column => (a, b) => {
    const [one, other] = [a.cells[column], b.cells[column]];
    const [x, y] = [number(one), number(other)];
    if (!isNaN(x) && !isNaN(y)) return x - y;
    if (!isNaN(x) || !isNaN(y)) return isNaN(x) ? 1 : -1;
    return one.textContent.localeCompare(other.textContent, "en", { numeric: true });
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sorted = [...rows].sort(compare(column));
      body.append(...(descending ? sorted.reverse() : sorted));
    });
  });
  return rows;
}

function filterable(table, rows) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  label.className = "filter";
  input.type = "search";
  label.append("Filter", input, count);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
}

function named(figure) {
  const points = [...figure.querySelectorAll(".point")];
  const told = figure.querySelector(".reading");
  const x = point => point.getBoundingClientRect().x;
  let order = null;
  const tell = point => { told.textContent = point.querySelector("title").textContent; };
  const rest = "Point at a model, or focus one and use the arrow keys, to read its name.";
  told.textContent = rest;
  points.forEach((point, i) => {
    point.setAttribute("tabindex", i ? "-1" : "0");
    point.addEventListener("mouseenter", () => tell(point));
    point.addEventListener("focus", () => tell(point));
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

function unfold() {
  let place = location.hash && document.getElementById(location.hash.slice(1));
  for (; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
}

for (const table of document.querySelectorAll("table.data")) {
  const rows = sortable(table);
  if (rows.length >= 8) filterable(table, rows);
}
for (const figure of document.querySelectorAll("figure")) {
  if (figure.querySelector(".point")) named(figure);
}
document.addEventListener("keydown", event => {
  if (event.key === "Escape") document.body.classList.add("quiet");
});
for (const event of ["pointermove", "focusin"]) {
  document.addEventListener(event, () => document.body.classList.remove("quiet"));
}
addEventListener("hashchange", unfold);
unfold();

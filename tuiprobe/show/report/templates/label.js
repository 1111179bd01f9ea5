"use strict";
// Takes a class for each picture, in order. Answers are kept in the browser for these pictures, so
// that this page finds them again and a page of other pictures does not. Text from outside is only
// ever set as text.

const place = id => document.getElementById(id);
const data = JSON.parse(place("data").textContent);
const pictures = data.pictures;
const KEY = `tuiprobe label ${data.batch}`;
const FILE = `answers-${data.target}-${data.batch}.csv`;
const SKIPPED = "";
const LISTED = 50;
const labels = new Set([...data.classes, data.none, data.unsure, SKIPPED]);
let answers = new Map();  // SHA-256 of a picture to its class
let kept = true;
let saved = true;

// Storage.

function read() {
  try {
    const rows = JSON.parse(localStorage.getItem(KEY) || "[]");
    answers = new Map(rows.filter(([, label]) => labels.has(label)));
  } catch { /* refused, or not of this page: `keep` says so */ }
}

function keep() {
  try {
    const text = JSON.stringify([...answers]);
    localStorage.setItem(KEY, text);
    kept = localStorage.getItem(KEY) === text;
  } catch { kept = false; }
}

function changed() {
  saved = false;
  keep();
  show();
  place(current() < pictures.length ? "count" : "download").focus();
}

// Answers. Those before the first picture without one count.

function current() {
  const gap = pictures.findIndex(picture => !answers.has(picture.sha256));
  return gap < 0 ? pictures.length : gap;
}

function answer(label) {
  const picture = pictures[current()];
  if (!picture) return;
  answers.set(picture.sha256, label);
  changed();
}

function undo() {
  const last = pictures[current() - 1];
  if (last && answers.delete(last.sha256)) changed();
}

function csv() {
  const cell = text => {
    const harmless = /^[=+\-@']/.test(text) ? `'${text}` : text;  // no formula of a spreadsheet
    return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
  };
  const given = pictures.slice(0, current()).map(picture => answers.get(picture.sha256));
  const rows = pictures.map((picture, i) =>
    [picture.image, picture.sha256, given[i] ?? "", data.batch, picture.skipped]);
  return [data.columns, ...rows].map(row => `${row.map(cell).join(",")}\n`).join("");
}

// The page.

function show() {
  const count = current();
  const picture = pictures[count];
  const last = pictures[count - 1];
  const given = pictures.slice(0, count).filter(one => answers.get(one.sha256) !== SKIPPED).length;
  place("unkept").hidden = kept;
  place("count").textContent = picture
    ? `Picture ${count + 1} of ${pictures.length}` : `${given} of ${pictures.length} pictures are labelled`;
  place("bar").max = pictures.length;
  place("bar").value = count;
  place("last").textContent = last ? `Last answer: ${answers.get(last.sha256) || skipWords(last)}` : "";
  place("stage").classList.toggle("done", !picture);
  place("stop").hidden = !picture;
  if (picture) {
    place("picture").src = `data:image/jpeg;base64,${picture.jpeg}`;
    place("name").textContent = picture.image;
    place("skip").lastChild.textContent = picture.skipped ? "skip again: unsure" : "skip";
  }
  const choices = picture ? picture.choices.map(number => data.classes[number]) : [];
  place("choices").replaceChildren(...choices.map(choice));
  for (const id of ["other", "none", "unsure", "skip"]) place(id).disabled = !picture;
  place("undo").disabled = !last;
  const download = place("download");
  download.hidden = !given;
  download.textContent = `Save ${given} label${given === 1 ? "" : "s"}`;
  download.href = "#save";
  download.download = FILE;
  place("text").value = csv();
}

function skipWords(picture) {
  return picture.skipped ? "skipped twice, so unsure" : "skipped";
}

function choice(label, number) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const name = document.createElement("span");
  name.textContent = label;
  if (number < 9) {
    const key = document.createElement("kbd");
    key.textContent = number + 1;
    button.append(key);
  }
  button.type = "button";
  button.append(name);
  button.addEventListener("click", () => answer(label));
  item.append(button);
  return item;
}

// All classes.

let matches = [];
let chosen = 0;

function filterClasses() {
  const words = place("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const starts = name => words.length > 0 && name.toLowerCase().startsWith(words[0]);
  const found = data.classes.filter(name => words.every(word => name.toLowerCase().includes(word)));
  matches = [...found.filter(starts), ...found.filter(name => !starts(name))].slice(0, LISTED);
  place("matches").replaceChildren(...matches.map((name, number) => {
    const item = document.createElement("li");
    item.id = `match${number}`;
    item.setAttribute("role", "option");
    item.textContent = name;
    item.addEventListener("click", () => take(number));
    return item;
  }));
  const rest = found.length - matches.length;
  place("rest").textContent = matches.length === 0 ? "No class has this in its name."
    : rest ? `and ${rest} more: type a part of the name` : "";
  choose(0);
}

function choose(number) {
  chosen = Math.max(0, Math.min(number, matches.length - 1));
  [...place("matches").children].forEach((item, i) => {
    item.setAttribute("aria-selected", i === chosen);
    if (i === chosen) item.scrollIntoView({ block: "nearest" });
  });
  if (matches.length) place("search").setAttribute("aria-activedescendant", `match${chosen}`);
  else place("search").removeAttribute("aria-activedescendant");
}

function take(number) {
  if (number >= matches.length) return;
  place("classes").close();
  answer(matches[number]);
}

function openClasses() {
  if (current() === pictures.length) return;
  place("search").value = "";
  place("classes").showModal();
  filterClasses();
  place("search").focus();
}

function closeClasses() {
  place("classes").close();
  place("count").focus();
}

// Keys and events.

const KEYS = {
  "/": openClasses, u: undo, n: () => answer(data.none), s: () => answer(data.unsure),
  k: () => answer(SKIPPED),
};

document.addEventListener("keydown", event => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || place("classes").open) return;
  if (event.target.matches("input, textarea")) return;
  const number = Number(event.key) - 1;
  const button = /^[1-9]$/.test(event.key) && place("choices").children[number]?.firstChild;
  const act = button ? () => button.click() : KEYS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});
place("search").addEventListener("input", filterClasses);
place("search").addEventListener("keydown", event => {
  if (event.isComposing) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) choose(chosen + step);
  else if (event.key === "Enter" && !event.repeat) take(chosen);
  else if (event.key === "Escape") closeClasses();
  else return;
  event.preventDefault();
});
place("answer").addEventListener("click", event => {
  if (event.detail > 1) event.stopPropagation();  // a double click meant the last picture
}, true);
place("close").addEventListener("click", closeClasses);
place("other").addEventListener("click", openClasses);
place("none").addEventListener("click", () => answer(data.none));
place("unsure").addEventListener("click", () => answer(data.unsure));
place("skip").addEventListener("click", () => answer(SKIPPED));
place("undo").addEventListener("click", undo);
place("download").addEventListener("click", event => {
  const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  event.currentTarget.href = url;
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  saved = true;
});
place("text").addEventListener("focus", event => event.currentTarget.select());
place("text").addEventListener("copy", () => { saved = true; });
addEventListener("storage", event => {  // the page is open twice
  if (event.key !== KEY || event.newValue === null) return;
  read();
  show();
});
addEventListener("beforeunload", event => { if (!kept && !saved) event.preventDefault(); });

place("none").lastChild.textContent = `none of these ${data.classes.length} classes`;
place("command").textContent = `tuiprobe label RUN… --answers ${FILE}`;
const most = Math.max(...pictures.map(picture => picture.choices.length));
place("choices").style.minHeight = `${3.35 * Math.min(most, 3)}rem`;  // what is below stays in place
for (const id of ["progress", "stage"]) place(id).hidden = false;
read();
keep();
show();

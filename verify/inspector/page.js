"use strict";
const record = JSON.parse(document.getElementById("record").textContent);
const { registers, blocks, layers, history, arrays } = record;
const $ = (id) => document.getElementById(id);
const state = { layer: 0, part: 0, head: 0, register: null, decision: 0, point: null, open: new Set() };

/* ---- words and numbers ---- */

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const number = (text) => (typeof text === "string" ? Number(text.replace("inf", "Infinity")) : text);

function short(value) { // a number as a reader wants it; titles and lists give all digits
  value = number(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en").replace("-", "−");
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "∞").replace("-", "−");
  if (size >= 1e-3 && size < 1e6) return String(Number(value.toPrecision(4))).replace("-", "−");
  const [digits, power] = Number(value.toPrecision(3)).toExponential().split("e");
  const raised = [...power.replace("+", "")].map((digit) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(digit)]).join("");
  return `${digits === "1" ? "" : digits === "-1" ? "−" : `${digits.replace("-", "−")}·`}10${raised}`;
}

const exact = (value) => String(value).replaceAll("-", "−");
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const range = (first, last) => (first === last ? `${first}` : `${first}–${last}`);
const title = (view) => `Layer${view.repeat > 1 ? "s" : ""} ${range(view.first, view.first + view.repeat - 1)}`;
const holder = new Map(registers.map((register) => [register.name, register]));

function label(entry) { // the name of a stream entry
  const register = registers.find((one) => entry < one.start + one.size);
  return register.size === 1 ? register.name : `${register.name}[${entry - register.start}]`;
}

function entries(matrix) {
  const [rows, columns, weights] = [arrays[matrix.rows], arrays[matrix.columns], arrays[matrix.weights]];
  return rows.map((row, n) => [row, columns[n], weights[n]]);
}

function formula(text) { // subscripts set as such, registers that are written in their colour
  const nodes = text.split(/([ᵢⱼ])/).flatMap((piece) => {
    if (piece === "ᵢ" || piece === "ⱼ") return [make("sub", {}, piece === "ᵢ" ? "i" : "j")];
    return piece.split(/((?:^|, {2})[^=]*? \+=)/).map((part) => (part.endsWith("+=") ? make("span", { class: "written" }, part) : part));
  });
  return make("div", { class: "formula" }, ...nodes);
}

/* ---- header, stream, blocks ---- */

function header() {
  const { size, spec } = record;
  $("title").textContent = record.title;
  $("source").textContent = record.source ? `Source: ${record.source}.` : "";
  $("spec").textContent = Object.entries(spec)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${Array.isArray(value) ? value.map(short).join("–") : typeof value === "number" ? short(value) : value}`)
    .join(" · ");
  const shown = [
    ["layers, L", size.layers], ["heads, M", size.heads], ["registers, D", size.width], ["neurons, D′", size.hidden],
    ["norm, |||θ|||", size.norm], ["weights stored", size.stored], ["error promised", record.certificate],
  ];
  $("counted").textContent = "Layers and decisions are counted from 1, layer 0 being the input; heads, neurons, terms, entries and actions from 0. So count built.heads() and run_with_cache.";
  $("sizes").append(...shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", { title: exact(value) }, short(value)))));
}

function stream() {
  const heads = layers.map((view, n) => make("th", { scope: "col" }, make("button", {
    "data-layer": n, "aria-label": title(view), onclick: () => open(n),
  }, range(view.first, view.first + view.repeat - 1), view.repeat > 1 ? make("small", {}, `× ${view.repeat.toLocaleString("en")}`) : null)));
  const written = new Set(layers.flatMap((view) => view.writes));
  const rows = registers.map((register) => make("tr", { "data-register": register.name },
    make("th", { scope: "row" }, register.name, make("span", { class: "size" }, register.size > 1 ? register.size : "", written.has(register.name) ? "" : " input")),
    ...layers.map((view, n) => {
      const reads = view.reads.includes(register.name), writes = view.writes.includes(register.name);
      const does = [reads && "read", writes && "written"].filter(Boolean).join(" and ");
      return make("td", { "data-layer": n, title: does && `${register.name} is ${does} in ${title(view).toLowerCase()}`, onclick: () => open(n, register.name) },
        does ? make("i", { class: `dot${reads ? " r" : ""}${writes ? " w" : ""}`, role: "img", "aria-label": does }) : "");
    })));
  $("map").append(make("thead", {}, make("tr", {}, make("th", {}, "register"), ...heads)), make("tbody", {}, ...rows));
}

function bound(one) {
  const rounding = number(one.rounding) ? `, of which rounding ${short(one.rounding)}` : "";
  return `${short(one.whole)}${rounding}`;
}

function blockList() {
  $("block-list").append(...blocks.map((block, n) => {
    const probe = history && history.probes[n];
    const holds = probe && number(probe.error) <= number(probe.promise);
    const facts = [
      ["source", [block.source]], ["holds for", [block.domain]],
      ["reads", [make("span", { class: "read" }, block.reads.join(", "))]], ["writes", [make("span", { class: "written" }, block.writes.join(", "))]],
      ["own error ≤", [bound(block.own)]], ["error in all ≤", [bound(block.total)]],
      ...(probe ? [["on the history", [make("span", { class: holds ? "good" : "bad" }, `${short(probe.error)}, ${holds ? "within the promise" : "beyond the promise"}`)]]] : []),
    ].filter(([, parts]) => parts.join(""));
    const where = layers.findIndex((view) => view.blocks.includes(n));
    return make("details", { class: "block" },
      make("summary", {}, make("b", {}, block.name), make("span", { class: "soft from" }, block.source),
        make("span", { class: "soft where" }, `${block.first === block.last ? "layer" : "layers"} ${range(block.first, block.last)}`),
        make("span", { class: "bound" }, `≤ ${short(block.total.whole)}`)),
      make("dl", {}, ...facts.flatMap(([name, parts]) => [make("dt", {}, name), make("dd", {}, ...parts)])),
      block.said ? make("pre", {}, block.said) : null,
      make("button", { onclick: () => { open(where); $("layer").scrollIntoView(); } }, `Open ${title(layers[where]).toLowerCase()}`));
  }));
}

/* ---- one layer ---- */

const partsOf = (view) => [...view.families, ...view.neurons];
const isHead = (part) => "formulas" in part;

function touches(part, name) {
  const { start, size } = holder.get(name), inside = (entry) => entry >= start && entry < start + size;
  if (isHead(part)) return arrays[part.targets].some(inside) || ["query", "key", "value"].some((m) => arrays[part[m].columns].some(inside));
  return arrays[part.first.columns].some(inside) || arrays[part.second.rows].some(inside);
}

function open(layer, register = null) {
  state.layer = Math.max(0, Math.min(layers.length - 1, layer));
  state.register = register;
  const own = partsOf(layers[state.layer]), found = register ? own.findIndex((part) => touches(part, register)) : 0;
  state.part = Math.max(found, 0);
  state.head = 0;
  showLayer();
  note("layer");
}

function showLayer() {
  const view = layers[state.layer], own = partsOf(view), { norms } = view;
  for (const node of document.querySelectorAll("#map [data-layer]")) {
    const now = Number(node.dataset.layer) === state.layer;
    if (node.tagName === "TD") node.classList.toggle("now", now);
    else { node.setAttribute("aria-pressed", now); node.tabIndex = now ? 0 : -1; node.parentNode.classList.toggle("now", now); }
  }
  for (const row of document.querySelectorAll("#map tbody tr")) row.classList.toggle("chosen", row.dataset.register === state.register);
  $("layer-title").textContent = `${title(view)}${view.repeat > 1 ? `: one layer, ${view.repeat.toLocaleString("en")} times` : ""}`;
  const heads = view.families.reduce((sum, one) => sum + one.count, 0), neurons = view.neurons.reduce((sum, one) => sum + one.count, 0);
  $("layer-says").textContent = `${count(heads, "head")}, ${count(neurons, "neuron")}. Norms: Q and K at most ${short(norms.scores)}, `
    + `Σ‖V‖ ${short(norms.values)}, ‖W1‖ ${short(norms.first)}, ‖W2‖ ${short(norms.second)}.`;
  $("layer-back").disabled = state.layer === 0;
  $("layer-on").disabled = state.layer === layers.length - 1;
  const nodes = [];
  for (const block of view.blocks) {
    nodes.push(make("h4", {}, blocks[block].name));
    own.forEach((part, n) => {
      if (part.block !== block) return;
      const kind = isHead(part) ? `${part.kind}${part.count > 1 ? ` · ${part.count} heads` : ""}` : count(part.count, "neuron");
      nodes.push(make("button", { "data-part": n, class: state.register && touches(part, state.register) ? "touches" : null, onclick: () => choose(n, 0) },
        make("span", { class: "role" }, part.role), make("span", { class: "kind" }, kind)));
    });
  }
  $("parts").replaceChildren(...nodes);
  showPart();
}

function choose(part, head) {
  Object.assign(state, { part, head });
  showPart();
  note("layer");
}

function showPart() {
  const part = partsOf(layers[state.layer])[state.part];
  for (const node of $("parts").querySelectorAll("button")) {
    const now = Number(node.dataset.part) === state.part;
    node.setAttribute("aria-pressed", now);
    node.tabIndex = now ? 0 : -1;
  }
  if (!part) return $("part").replaceChildren();
  const block = blocks[part.block];
  const lead = make("p", {}, block.said.split("\n")[0], block.said && " ", make("span", { class: "soft" }, `${block.source}.`));
  $("part").replaceChildren(make("h3", {}, part.role), lead, ...(isHead(part) ? headNodes(part) : neuronNodes(part)));
  showPattern();
}

function headNodes(family) {
  const n = state.head, rows = (matrix, height) => entries(matrix).filter(([row]) => Math.floor(row / height) === n).map(([row, column, weight]) => [row - n * height, column, weight]);
  const targets = arrays[family.targets].slice(n * family.span, (n + 1) * family.span);
  const step = (by) => choose(state.part, Math.max(0, Math.min(family.count - 1, n + by)));
  const choice = family.count === 1 ? null : make("div", { class: "head" },
    make("button", { "aria-label": "Previous head", disabled: n === 0, onclick: () => step(-1) }, "←"),
    make("label", {}, "head ", make("input", { type: "number", id: "head", min: 0, max: family.count - 1, value: n, onchange: (event) => step(Number(event.target.value) - n) })),
    make("span", { class: "soft" }, `of ${family.count} alike, from 0`),
    make("button", { "aria-label": "Next head", disabled: n === family.count - 1, onclick: () => step(1) }, "→"));
  const terms = Array.from({ length: family.rank }, (_, row) => `term ${row}`);
  return [
    make("p", { class: "soft" }, `Head ${family.place + n} of the layer, from 0: ${record.kinds[family.kind]}. Rows of Q and K are the terms of the score, columns the registers that they read; position is (i, i², 1).`),
    choice, formula(family.formulas[n]),
    matrix("Q", "query, of token i", rows(family.query, family.rank), terms),
    matrix("K", "key, of token j", rows(family.key, family.rank), terms),
    matrix("V", "value: rows are written, columns read at token j", rows(family.value, family.span), targets.map(label)),
    history ? make("div", { id: "pattern" }) : null,
  ].filter(Boolean);
}

function fill(table, heads, rows) { // cells know what stands above them, for narrow screens that show rows one below the other
  for (const row of rows) {
    if (row.className !== "entries") [...row.children].forEach((cell, n) => { cell.dataset.label = heads[n]; });
  }
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

const cell = (value) => make("td", { class: value > 0 ? "plus" : "minus", title: exact(value) }, short(value));

function matrix(name, says, found, names) {
  const columns = [...new Set(found.map(([, column]) => column))].sort((a, b) => a - b);
  const caption = make("figcaption", {}, make("b", {}, name), make("span", { class: "soft" }, `  ${says} · ${found.length === 1 ? "1 weight" : `${found.length} weights`}`));
  if (names.length * columns.length > 500 || !columns.length) {
    const lines = found.map(([row, column, value]) => `${names[row]} × ${label(column)} = ${exact(value)}`);
    return make("figure", { class: "matrix" }, caption, lines.length ? list(lines, `${name}, all weights`) : make("p", { class: "soft" }, "all zero"));
  }
  const at = new Map(found.map(([row, column, value]) => [`${row},${column}`, value]));
  const head = make("tr", {}, make("th", {}, ""), ...columns.map((column) => make("th", { scope: "col" }, label(column))));
  const body = names.map((text, row) => make("tr", {}, make("th", { scope: "row" }, text),
    ...columns.map((column) => (at.has(`${row},${column}`) ? cell(at.get(`${row},${column}`)) : make("td", { class: "zero", "data-faint": true }, "·")))));
  return make("figure", { class: "matrix" }, caption, make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${name}, ${says}` },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))));
}

function sum(terms) {
  return terms.map(([value, name]) => `${value < 0 ? "−" : "+"} ${Math.abs(value) === 1 ? "" : `${Math.abs(value)}·`}${name}`).join(" ").replace(/^\+ /, "").replace(/^− /, "−") || "0";
}

function neuronNodes(part) {
  const reads = Array.from({ length: part.count }, () => []), writes = Array.from({ length: part.count }, () => []);
  for (const [neuron, column, value] of entries(part.first)) reads[neuron].push([value, label(column)]);
  for (const [row, neuron, value] of entries(part.second)) writes[neuron].push(`${label(row)} ${value < 0 ? "−" : "+"}= ${Math.abs(value)}`);
  const lines = reads.map((terms, n) => `${String(part.place + n).padStart(6)}   relu(${sum(terms)})   →   ${writes[n].join(",  ") || "nothing"}`);
  const box = make("div", {}, list(lines, "Neurons"));
  const search = make("input", { type: "search", placeholder: "find a register", "aria-label": "Find a register", oninput: (event) => {
    box.replaceChildren(list(lines.filter((line) => line.includes(event.target.value)), "Neurons"));
  } });
  return [make("p", { class: "soft" }, `${count(part.count, "neuron")}: within relu the row of W1 with all its weights, after the arrow the column of W2; position[2] is 1.`), search, box];
}

function list(lines, says) { // only the lines in sight are in the page
  const height = 26, inner = make("div", { class: "mono", style: `height:${lines.length * height}px` });
  const longest = lines.reduce((most, line) => Math.max(most, line.length), 0);
  inner.style.width = `${longest + 4}ch`;
  const box = make("div", { class: "scroll list", tabindex: 0, role: "region", "aria-label": `${says}: ${lines.length}` }, inner);
  if (lines.length < 16) box.style.height = `${lines.length * height + 18}px`;
  const draw = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / height) - 8), last = Math.min(lines.length, first + 60);
    inner.replaceChildren(...lines.slice(first, last).map((line, n) => make("div", { class: "row", style: `top:${(first + n) * height}px` }, line)));
  };
  box.addEventListener("scroll", draw);
  draw();
  return box;
}

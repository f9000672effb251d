"use strict";
const record = JSON.parse(document.getElementById("record").textContent);
const { registers, blocks, layers, history, arrays } = record;
const $ = (id) => document.getElementById(id);
const state = { layer: 0, part: 0, head: 0, register: null, decision: 0, point: 0, open: new Set() };

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
      nodes.push(make("button", { "data-part": n, class: state.register && touches(part, state.register) ? "touches" : null, onclick: () => { state.part = n; state.head = 0; showPart(); } },
        make("span", { class: "role" }, part.role), make("span", { class: "kind" }, kind)));
    });
  }
  $("parts").replaceChildren(...nodes);
  showPart();
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
}

function headNodes(family) {
  const n = state.head, rows = (matrix, height) => entries(matrix).filter(([row]) => Math.floor(row / height) === n).map(([row, column, weight]) => [row - n * height, column, weight]);
  const targets = arrays[family.targets].slice(n * family.span, (n + 1) * family.span);
  const step = (by) => { state.head = Math.max(0, Math.min(family.count - 1, n + by)); showPart(); };
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
    ...columns.map((column) => (at.has(`${row},${column}`) ? cell(at.get(`${row},${column}`)) : make("td", { class: "zero" }, "·")))));
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

/* ---- the history ---- */

function held(register, point, decision) { // what a register holds after the layers of a point
  for (let n = point; n >= 0; n -= 1) {
    const values = history.points[n].values[register.name];
    if (values !== undefined) return arrays[values].slice(decision * register.size, (decision + 1) * register.size);
  }
  return new Array(register.size).fill(0);
}

function truths(decision) { // what each result should be, by register: values, and the block
  const found = new Map();
  blocks.forEach((block, n) => {
    const size = block.outputs.reduce((whole, name) => whole + holder.get(name).size, 0), whole = arrays[history.probes[n].true];
    let at = decision * size;
    for (const name of block.outputs) { found.set(name, { values: whole.slice(at, at + holder.get(name).size), block: n }); at += holder.get(name).size; }
  });
  return found;
}

function distance(block, point, decision, truth) { // the largest ℓ2 error of a vector of the block's result
  const own = blocks[block].outputs, now = own.flatMap((name) => held(holder.get(name), point, decision)), wanted = own.flatMap((name) => truth.get(name).values);
  const size = now.length / blocks[block].groups;
  let worst = 0;
  for (let at = 0; at < now.length; at += size) {
    let square = 0;
    for (let n = at; n < at + size; n += 1) square += (now[n] - wanted[n]) ** 2;
    worst = Math.max(worst, Math.sqrt(square));
  }
  return worst;
}

function strip(values, scale) { // one pixel an entry: colour by sign, strength by size
  const canvas = make("canvas", { width: values.length, height: 1, role: "img", "aria-label": `${values.length} values from ${short(Math.min(...values))} to ${short(Math.max(...values))}` });
  const style = getComputedStyle(document.documentElement), pen = canvas.getContext("2d");
  values.forEach((value, n) => {
    pen.globalAlpha = Math.min(1, Math.sqrt(Math.abs(value) / scale) || 0);
    pen.fillStyle = style.getPropertyValue(value < 0 ? "--minus" : "--plus");
    pen.fillRect(n, 0, 1, 1);
  });
  return canvas;
}

function show(values, scale) {
  return values.length === 1 ? make("td", { title: exact(values[0]) }, short(values[0])) : make("td", { class: "wide" }, strip(values, scale));
}

function heldRow(register, truth) {
  const now = held(register, state.point, state.decision), known = truth.get(register.name);
  const scale = Math.max(...now.map(Math.abs), ...(known ? known.values.map(Math.abs) : [0])) || 1;
  const changed = state.point > 0 && register.name in history.points[state.point].values;
  const toggle = () => { state.open.has(register.name) ? state.open.delete(register.name) : state.open.add(register.name); showHistory(); $(`held-${register.name}`).focus(); };
  const name = make("th", { scope: "row" }, make("button", { id: `held-${register.name}`, "aria-expanded": state.open.has(register.name), onclick: toggle },
    register.name, make("span", { class: "size" }, register.size > 1 ? register.size : "")));
  const cells = [make("td", {}, ""), make("td", {}, ""), make("td", {}, "")];
  if (known) {
    const block = blocks[known.block], error = distance(known.block, state.point, state.decision, truth), promise = number(history.probes[known.block].promise);
    const reached = history.points[state.point].layers, done = reached >= block.last;
    cells[0] = show(known.values, scale);
    cells[1] = make("td", { class: done ? (error <= promise ? "good" : "bad") : "soft", title: exact(error) }, reached < block.first ? "" : short(error));
    cells[2] = make("td", {}, done ? `≤ ${short(promise)}` : reached < block.first ? `from layer ${block.first}` : `at layer ${block.last}`);
    if (!done) cells[2].className = "soft";
  }
  const row = make("tr", { class: changed ? "changed" : null }, name, show(now, scale), ...cells);
  if (!state.open.has(register.name)) return [row];
  const lines = now.map((value, n) => make("tr", {}, make("th", { scope: "row" }, register.size > 1 ? `[${n}]` : register.name), make("td", {}, exact(value)),
    ...(known ? [make("td", {}, exact(known.values[n])), make("td", {}, short(value - known.values[n]))] : [])));
  const head = make("tr", {}, ...["entry", "held", ...(known ? ["true", "difference"] : [])].map((text) => make("th", { scope: "col" }, text)));
  return [row, make("tr", { class: "entries" }, make("td", { colspan: 5 }, make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${register.name}, entries` }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)))))];
}

function showHistory() {
  const { decisions, points } = history, point = points[state.point], before = history.before[state.decision];
  $("decision").value = state.decision;
  $("point").value = state.point;
  $("decision-says").textContent = `${decisions[state.decision]} of ${history.steps}`;
  const at = blocks.filter((block) => block.first <= point.layers && point.layers <= block.last).map((block) => block.name);
  $("point-says").textContent = point.layers ? `${point.layers.toLocaleString("en")} of ${record.size.layers.toLocaleString("en")}: ${at.slice(0, 2).join(", ")}${at.length > 2 ? ", …" : ""}` : "none: the token as it comes";
  $("before").textContent = before ? `Just before, action ${before.action} was taken; reward ${short(before.reward)}.` : "Nothing has been done before.";
  for (const [name, last] of [["decision", decisions.length - 1], ["point", points.length - 1]]) {
    $(`${name}-back`).disabled = state[name] === 0;
    $(`${name}-on`).disabled = state[name] === last;
    $(name).setAttribute("aria-valuetext", $(`${name}-says`).textContent);
  }
  const truth = truths(state.decision);
  fill($("held"), ["register of the state token", "holds", "true", "error", "promise"], registers.flatMap((register) => heldRow(register, truth)));
  showPolicy();
}

function showPolicy() {
  const size = arrays[history.built].length / history.decisions.length;
  const cut = (n) => arrays[n].slice(state.decision * size, (state.decision + 1) * size).map(number);
  const built = cut(history.built), wanted = cut(history.true), { one, kind } = given();
  const gaps = built.map((value, n) => (history.one_sided ? wanted[n] - value : Math.abs(value - wanted[n])));
  const what = history.one_sided ? "The log-probability, true less built, is at most" : `${kind} differ by`;
  $("policy-says").textContent = `${what} ${short(Math.max(...gaps))} here, ${short(history.worst)} at worst in this history; promised: ${short(record.certificate)} in exact arithmetic.${history.compared === "values" ? "" : " Actions are counted from 0."}`;
  const policy = history.compared === "log-probabilities";
  const heads = [history.compared === "values" ? "entry" : "action", ...(policy ? ["probability", ""] : []), `${one}, built`, `${one}, true`, "difference"];
  const share = (value) => [make("td", { title: exact(Math.exp(value)) }, short(Math.exp(value))), make("td", {}, make("span", { class: "barrel" }, make("i", { style: `width:${100 * Math.exp(value)}%` })))];
  fill($("policy"), heads, built.map((value, n) => make("tr", {}, make("th", { scope: "row" }, `${n}`),
    ...(policy ? share(value) : []), make("td", { title: exact(value) }, short(value)), make("td", { title: exact(wanted[n]) }, short(wanted[n])), make("td", { title: exact(value - wanted[n]) }, short(value - wanted[n])))));
}

function given() { // what is compared, in words
  return { "log-probabilities": { one: "log", kind: "Log-probabilities" }, scores: { one: "score", kind: "Scores" }, values: { one: "value", kind: "Values" } }[history.compared];
}

function go(name, to) {
  const last = (name === "decision" ? history.decisions : history.points).length - 1;
  state[name] = Math.max(0, Math.min(last, to));
  showHistory();
}

/* ---- keys, and the start ---- */

function keys(event) {
  const target = event.target, by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey || target.matches("input")) return;
  const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
  if (target.closest("#parts") && !sideways) {
    const all = [...$("parts").querySelectorAll("button")], next = all[all.indexOf(target) + by];
    if (next) { next.click(); next.focus(); }
  } else if (target.matches(".scroll") || !sideways) return;
  else if (history && target.closest("#history")) go("decision", state.decision + by);
  else {
    const inMap = target.closest("#map");
    open(state.layer + by);
    if (inMap) $("map").querySelector(`button[data-layer="${state.layer}"]`).focus();
  }
  event.preventDefault();
}

header();
stream();
blockList();
open(0);
if (history) {
  $("setting").textContent = `${history.setting}; ${count(history.steps, "decision")}${history.decisions.length < history.steps ? `, ${history.decisions.length} of them shown` : ""}. What changed in the layer is marked; names open the entries.`;
  for (const [name, all] of [["decision", history.decisions], ["point", history.points]]) {
    $(name).max = all.length - 1;
    $(name).addEventListener("input", (event) => go(name, Number(event.target.value)));
    $(`${name}-back`).addEventListener("click", () => go(name, state[name] - 1));
    $(`${name}-on`).addEventListener("click", () => go(name, state[name] + 1));
  }
  if (history.compared === "values") $("policy-title").textContent = "What it gives";
  state.decision = Math.floor(history.decisions.length / 2);
  state.point = history.points.length - 1;
  showHistory();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showHistory);
} else $("history").remove();
$("layer-back").addEventListener("click", () => open(state.layer - 1));
$("layer-on").addEventListener("click", () => open(state.layer + 1));
document.addEventListener("keydown", keys);
performance.mark("ready");

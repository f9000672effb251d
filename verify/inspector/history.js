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
  fill($("held"), ["register of the state token", "holds", "true", "error", "promise"], registers.filter((register) => found(register.name)).flatMap((register) => heldRow(register, truth)));
  showPolicy();
  showPattern();
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
  note("history");
}

function beginHistory() {
  if (!history) return $("history").remove();
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
}

/* ---- a head on the history: which token looks at which, and what it moves ---- */

const MOST_MOVED = 8; // so many tokens of a decision are in the table

function before(view) { // the point whose registers the layer reads: the one that is shown, if it is one, or the last such
  const inside = (point) => view.first <= point.layers + 1 && point.layers + 1 < view.first + view.repeat;
  return inside(history.points[state.point]) ? state.point : history.points.findLastIndex(inside);
}

function attention(family, head, point, decision) { // weights and values moved, token by token, from 0 to the state token
  const own = arrays[history.states][history.decisions[decision] - 1], alone = record.own.includes(family.kind), seen = history.points[point].seen ?? {};
  const reader = (entry) => { // the entry of the stream, by token
    const register = registers.find((one) => entry < one.start + one.size), at = entry - register.start, mine = held(register, point, decision)[at], others = arrays[seen[register.name]];
    return (token) => number(token === own ? mine : others[token * register.size + at]);
  };
  const rows = (matrix, height) => entries(matrix).filter(([row]) => Math.floor(row / height) === head).map(([row, column, weight]) => [row - head * height, reader(column), weight]);
  const times = (matrix, height, token) => {
    const sums = new Array(height).fill(0);
    for (const [row, read, weight] of matrix) sums[row] += weight * read(token);
    return sums;
  };
  const [query, key, moves] = [rows(family.query, family.rank), rows(family.key, family.rank), rows(family.value, family.span)];
  const asks = times(query, family.rank, own), tokens = Array.from({ length: own + 1 }, (_, token) => token).filter((token) => !alone || token === own);
  const scores = tokens.map((token) => times(key, family.rank, token).reduce((sum, one, n) => sum + one * asks[n], 0));
  const weights = family.kind === "average" ? softmax(scores) : scores.map((score) => Math.max(score, 0) / (own + 1));
  return tokens.map((token, n) => ({ token, weight: weights[n], moved: weights[n] ? times(moves, family.span, token).map((one) => one * weights[n]) : new Array(family.span).fill(0) }));
}

function softmax(scores) {
  const most = Math.max(...scores), powers = scores.map((score) => Math.exp(score - most)), whole = powers.reduce((sum, one) => sum + one, 0);
  return powers.map((one) => one / whole);
}

function tokenName(token) { // what a token is, by the decisions around it
  const states = arrays[history.states], earlier = states.filter((state) => state <= token).length;
  if (!earlier) return "in front";
  return `${states[earlier - 1] === token ? "state of" : "after"} decision ${earlier}`;
}

const vector = (values) => `${values.slice(0, 4).map(short).join(", ")}${values.length > 4 ? ", …" : ""}`;

function showPattern() {
  const family = partsOf(layers[state.layer])[state.part], box = $("pattern");
  if (!box || state.point === null) return; // the history has not begun
  const point = before(layers[state.layer]), now = attention(family, state.head, point, state.decision);
  const size = (one) => Math.hypot(...one.moved), looked = now.filter((one) => one.weight > 0), most = looked.toSorted((a, b) => size(b) - size(a) || a.token - b.token).slice(0, MOST_MOVED);
  const alone = record.own.includes(family.kind);
  const where = state.layer === layers.length - 1 && layers[state.layer].repeat === 1 ? "" : ` after ${count(history.points[point].layers, "layer")}`;
  const step = (by, text, says) => make("button", { "aria-label": says, disabled: !history.decisions[state.decision + by], onclick: (event) => {
    go("decision", state.decision + by);
    ($("pattern").querySelector(`button[aria-label="${says}"]:enabled`) ?? $("pattern").querySelector("button:enabled")).focus();
  } }, text);
  const table = make("table", {}), cells = (one, name) => make("tr", {}, make("th", { scope: "row" }, name), make("td", { title: exact(one.weight) }, short(one.weight)), make("td", { title: one.moved.map(exact).join(", ") }, vector(one.moved)));
  const whole = { weight: now.reduce((sum, one) => sum + one.weight, 0), moved: now.reduce((sum, one) => sum.map((value, n) => value + one.moved[n]), new Array(family.span).fill(0)) };
  fill(table, ["token", family.kind === "average" ? "weight" : "weight, relu(score)/i", "value moved"], [...most.map((one) => cells(one, `${one.token}, ${tokenName(one.token)}`)), cells(whole, now.length > most.length ? `all ${now.length} tokens` : "sum")]);
  box.replaceChildren(make("h4", {}, "Who looks at whom"),
    alone ? make("p", { class: "soft" }, `Each token looks at itself alone${where}.`) : make("p", { class: "soft" }, `A row for each decision shown, a column for each token, from 0; the stronger, the harder the state token of the row looks at it${where}.`), alone ? "" : picture(history.decisions.map((_, n) => attention(family, state.head, point, n))),
    make("div", { class: "head" }, step(-1, "←", "Pattern of the decision before"), step(1, "→", "Pattern of the decision after"), make("span", {}, `decision ${history.decisions[state.decision]} of ${history.steps}: ${looked.length} of ${count(now.at(-1).token + 1, "token")} ${looked.length === 1 ? "has" : "have"} weight`)),
    make("div", { class: "scroll moved", tabindex: 0, role: "region", "aria-label": "Tokens looked at, and what they give" }, table));
}

function picture(all) { // one pixel a token, a row a decision; strength within each row by its largest weight
  const width = 1 + all.at(-1).at(-1).token, canvas = make("canvas", { class: "pattern", width, height: all.length, role: "img", "aria-label": `Weights of ${count(all.length, "decision")} over ${count(width, "token")}` });
  const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  all.forEach((row, n) => {
    const largest = Math.max(...row.map((one) => one.weight)) || 1;
    pen.fillStyle = style.getPropertyValue(n === state.decision ? "--write" : "--read");
    for (const one of row) { pen.globalAlpha = Math.sqrt(one.weight / largest); pen.fillRect(one.token, n, 1, 1); }
  });
  canvas.style.height = `${9 * all.length}px`;
  canvas.addEventListener("click", (event) => go("decision", Math.floor(event.offsetY / 9)));
  return canvas;
}

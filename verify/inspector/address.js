/* ---- a register by its name ---- */

const found = (name) => name.toLowerCase().includes($("find").value.trim().toLowerCase());

function find() { // only the rows of registers with that in their name
  const names = registers.map((register) => register.name).filter(found);
  for (const row of document.querySelectorAll("#map tbody tr")) row.hidden = !found(row.dataset.register);
  $("found").textContent = $("find").value ? `${names.length} of ${registers.length}` : "";
  if (history) showHistory();
  return names;
}

function openFound(event) { // the first of them, where it is written, or else read
  const [name] = find();
  if (event.key !== "Enter" || !name) return;
  const inThis = ["writes", "reads"].some((does) => layers[state.layer][does].includes(name));
  const where = ["writes", "reads"].map((does) => layers.findIndex((view) => view[does].includes(name))).find((n) => n >= 0);
  open(inThis ? state.layer : where ?? state.layer, name);
  $("layer").scrollIntoView();
}

/* ---- the address: #layer=3&head=2&decision=17&after=5, numbers as the page has them ---- */

let noted = null;

function note(section) { // soon, as browsers bear few changes of an address in a second
  clearTimeout(noted);
  noted = setTimeout(() => window.history.replaceState(null, "", `#${address(section)}`), 150);
}

function address(section) { // what was moved last comes first
  const view = layers[state.layer], part = partsOf(view)[state.part];
  const inLayer = [["layer", view.first], ...(part ? [isHead(part) ? ["head", part.place + state.head] : ["neuron", part.place]] : []), ...(state.register ? [["register", state.register]] : [])];
  const inHistory = history ? [["decision", history.decisions[state.decision]], ["after", history.points[state.point].layers]] : [];
  return new URLSearchParams(section === "history" ? [...inHistory, ...inLayer] : [...inLayer, ...inHistory]);
}

function follow() { // what the address says; what it says wrongly is left as it is
  const asked = new URLSearchParams(location.hash.slice(1)), sections = { layer: "layer", head: "layer", neuron: "layer", register: "layer", decision: "history", after: "history" };
  const section = sections[[...asked].filter(([, value]) => value).map(([name]) => name)[0]];
  if (!section || !$(section)) return;
  const told = (name) => (/^\d+$/.test(asked.get(name) ?? "") ? Number(asked.get(name)) : null);
  const layer = layers.findIndex((view) => view.first <= told("layer") && told("layer") < view.first + view.repeat);
  open(layer < 0 ? state.layer : layer, holder.has(asked.get("register")) ? asked.get("register") : null);
  const own = partsOf(layers[state.layer]), number = told("head") ?? told("neuron");
  const part = own.findIndex((one) => number !== null && isHead(one) === (told("head") !== null) && one.place <= number && number < one.place + one.count);
  if (part >= 0) choose(part, isHead(own[part]) ? number - own[part].place : 0);
  if (history) {
    go("decision", nearest(history.decisions, told("decision") ?? history.decisions[state.decision]));
    go("point", nearest(history.points.map((point) => point.layers), told("after") ?? history.points[state.point].layers));
  }
  note(section);
  $(section).scrollIntoView();
}

const nearest = (all, wanted) => all.reduce((best, value, n) => (Math.abs(value - wanted) < Math.abs(all[best] - wanted) ? n : best), 0);

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
beginHistory();
clearTimeout(noted); // the address is the reader's until something is moved
follow();
addEventListener("hashchange", follow);
$("find").addEventListener("input", find);
$("find").addEventListener("keydown", openFound);
$("layer-back").addEventListener("click", () => open(state.layer - 1));
$("layer-on").addEventListener("click", () => open(state.layer + 1));
document.addEventListener("keydown", keys);
performance.mark("ready");

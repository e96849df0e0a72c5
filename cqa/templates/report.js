"use strict";
// Sorts tables, colours tokens. Reads numbers only; what people wrote is in the page already and is
// moved about as text. Offsets count characters as Python does, so texts are cut with Array.from.
(() => {
  const root = document.documentElement, by = (id) => document.getElementById(id);
  root.classList.add("js");

  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[head.cellIndex];
        if (!head.classList.contains("n")) return cell.textContent;
        const value = parseFloat(cell.textContent);
        return Number.isNaN(value) ? null : value;
      };
      const keyed = Array.from(body.rows, (row) => [key(row), row]);
      keyed.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === "string" ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      });
      body.append(...keyed.map(([, row]) => row));
    });
  }

  const shown = by("heat");
  if (!shown) return;
  const heat = JSON.parse(shown.textContent), view = by("view"), model = by("model"), told = by("told");
  const bits = (value) => (value / 100).toFixed(2).replace("-", "−");
  const signed = (value) => (value > 0 ? "+" : "") + bits(value);

  // For each view: what a token's number is, of [none, full] of the base and of the chosen model.
  const views = {
    surprise: [0, ([none]) => none],
    residual: [0, ([, full]) => full],
    gain: [1, ([none, full]) => none - full],
    change: [2, ([none, full], base) => base[1] - full],
    regain: [2, ([none, full], base) => none - full - (base[0] - base[1])],
  };

  const paint = (passage) => {
    const found = heat.items[passage.dataset.item]?.[passage.dataset.side];
    if (!found) return;
    const [starts, models] = found, own = models[model.value], base = models[0];
    if (!passage.token) {
      const letters = Array.from(passage.textContent);
      passage.token = starts.map((start, i) => {
        const span = document.createElement("span");
        span.textContent = letters.slice(i ? start : 0, starts[i + 1]).join("");
        return span;
      });
      passage.replaceChildren(...passage.token);
    }
    const [scale, of] = views[view.value], top = heat.top[scale];
    passage.token.forEach((span, i) => {
      if (!own) { span.className = ""; return; }
      const value = of([own[0][i], own[1][i]], [base[0][i], base[1][i]]);
      const level = Math.min(4, Math.round((4 * Math.abs(value)) / top));
      span.className = level ? (value > 0 ? "u" : "d") + level : "";
    });
  };
  const tell = (event) => {
    const passage = event.target.parentElement;
    if (!passage?.token) return;
    const i = passage.token.indexOf(event.target);
    const own = heat.items[passage.dataset.item][passage.dataset.side][1];
    const chosen = own[model.value], base = own[0];
    if (i < 0 || !chosen) return;
    const [none, full] = [chosen[0][i], chosen[1][i]];
    told.textContent = `surprise ${bits(none)} · residual ${bits(full)} · gain ${signed(none - full)}` +
      ` · log p with brief ${signed(base[1][i] - full)} against the base (bits)`;
  };
  const painted = () => document.querySelectorAll("details[open] > .pair .passage").forEach(paint);

  for (const item of document.querySelectorAll("details.item")) {
    item.addEventListener("toggle", () => item.querySelectorAll(".passage").forEach(paint));
    item.addEventListener("mouseover", tell);
    item.addEventListener("click", tell);
  }
  view.addEventListener("change", painted);
  model.addEventListener("change", painted);
  const follow = () => {
    const item = location.hash.startsWith("#item-") && by(location.hash.slice(1));
    if (item) item.open = true;
  };
  window.addEventListener("hashchange", follow);
  follow();
  painted();
})();

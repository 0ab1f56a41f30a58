"use strict";
// Tables: sort by a click on a heading, filter by text and by known words, turn pages. Without scripts the first page
// of each table stays as it is in the file.
(() => {
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const FLAGS = ["critical", "warning", "watch", "ok"];
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const count = new Intl.NumberFormat("en");

  const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

  function cell(text, column) {
    let shown = escaped(text);
    // An order that comes too late has words for a date.
    if (column.kind === "date" && /^\d/.test(text)) {
      const [year, month, day] = text.split("-").map(Number);
      shown = `${day}&nbsp;${MONTHS[month - 1]}&nbsp;${year}`;
    }
    if (column.name === "flag" && text) return `<span class="badge ${shown}">${shown}</span>`;
    if (column.bar && text) return `<span class="bar" style="--p:${text.replace(/[<> ]/g, "")}">${shown}</span>`;
    return shown;
  }

  // What a cell is sorted by; empty cells always come last.
  function key(text, column) {
    if (text === "") return null;
    if (column.name === "flag") return FLAGS.indexOf(text);
    // Words for a date say now, which is before every day to come.
    if (column.kind === "date" && !/^\d/.test(text)) return "0";
    if (!column.right) return text;
    const nudge = text[0] === "<" ? -0.5 : text[0] === ">" ? 0.5 : 0;
    if (text.includes("∞")) return text[0] === "−" ? -Infinity : Infinity;
    return parseFloat(text.replace(/[^0-9.eE-]/g, "")) + nudge;
  }

  function compare(a, b) {
    return typeof a === "string" ? words.compare(a, b) : a - b;
  }

  function start(frame) {
    const data = JSON.parse(frame.querySelector("script[type='application/json']").textContent);
    const table = frame.querySelector("table");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const pager = frame.querySelector(".pager");
    const tools = frame.querySelector(".tools");
    const sku = data.columns.findIndex((c) => c.name === "sku");
    const place = data.columns.findIndex((c) => c.name === "location");
    const state = { rows: data.rows, column: -1, down: false, page: 0 };
    let haystack = null;

    function row(values) {
      const cells = values.map((text, k) => {
        const column = data.columns[k];
        let shown = cell(text, column);
        const link = k === sku && data.links[`${text}\x1f${place < 0 ? "" : values[place]}`];
        if (link) shown = `<a href="#${link}" title="to the picture">${shown}</a>`;
        const names = [column.right && "right", column.wide && "wide", column.folds && "folds", !column.brief && "more"].filter(Boolean);
        return `<td class="${names.join(" ")}">${shown}</td>`;
      });
      return `<tr>${cells.join("")}</tr>`;
    }

    function draw() {
      const n = state.rows.length;
      const last = Math.max(0, Math.ceil(n / data.page) - 1);
      state.page = Math.min(state.page, last);
      const from = state.page * data.page;
      const shown = state.rows.slice(from, from + data.page);
      body.innerHTML = shown.length ? shown.map(row).join("") : `<tr><td colspan="${heads.length}">no row fits the filter</td></tr>`;
      heads.forEach((head, k) => {
        if (k === state.column) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      const all = n < data.rows.length ? ` (filtered from ${count.format(data.rows.length)})` : "";
      pager.querySelector(".where").textContent = n ? `${count.format(from + 1)}–${count.format(Math.min(from + data.page, n))} of ${count.format(n)}${all}` : "";
      pager.querySelector(".prev").disabled = state.page === 0;
      pager.querySelector(".next").disabled = state.page === last;
      pager.hidden = data.rows.length <= data.page && n === data.rows.length;
    }

    function select() {
      haystack = haystack || data.rows.map((values) => values.join("\x1f").toLowerCase());
      const wanted = tools.querySelector("input[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
      const choices = [...tools.querySelectorAll("select")].filter((s) => s.value).map((s) => [data.columns.findIndex((c) => c.name === s.dataset.column), s.value]);
      let rows = data.rows.filter((values, i) => wanted.every((w) => haystack[i].includes(w)) && choices.every(([k, v]) => values[k] === v));
      if (state.column >= 0) {
        const k = state.column;
        const keyed = rows.map((values) => [key(values[k], data.columns[k]), values]);
        const sign = state.down ? -1 : 1;
        keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
        rows = keyed.map(([, values]) => values);
      }
      state.rows = rows;
      state.page = 0;
      draw();
    }

    heads.forEach((head, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => {
        // Numbers start with the largest, words and dates with the first; a third click restores the order of the file.
        const first = data.columns[k].right;
        if (state.column !== k) [state.column, state.down] = [k, first];
        else if (state.down === first) state.down = !first;
        else state.column = -1;
        select();
      });
      head.textContent = "";
      head.append(button);
    });
    let waiting = 0;
    tools.querySelector("input[type=search]").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(select, 120);
    });
    tools.querySelectorAll("select").forEach((s) => s.addEventListener("change", select));
    const tick = tools.querySelector("input[type=checkbox]");
    if (tick) tick.addEventListener("change", () => table.classList.toggle("all", tick.checked));
    const turn = (step) => () => {
      state.page += step;
      draw();
      frame.querySelector(".scroll").scrollTop = 0;
    };
    pager.querySelector(".prev").addEventListener("click", turn(-1));
    pager.querySelector(".next").addEventListener("click", turn(1));
    tools.hidden = data.rows.length < 2;
    draw();
  }

  document.querySelectorAll(".frame").forEach((frame) => {
    if (frame.querySelector("table")) start(frame);
  });
})();

// Keeps a page of `mindlift ui` as the files are: the server's lists and heads, curves by page.js, lines of a log.
// Nothing of a log or an answer becomes HTML here but `parts`, which src/mindlift/report/markup.py has escaped.
"use strict";
(() => {
  const MOST_LINES = 4000;
  const EVERY_MS = 2500;
  const ENDED_MS = 30000; // what has ended may be continued
  const LOG_MS = 1500;
  const HIDDEN_MS = 15000; // between two questions of a page that nobody sees
  const status = document.getElementById("status");
  const live = document.getElementById("live");
  const words = live ? JSON.parse(live.dataset.words) : {};
  const gettext = (text, ...values) => (words[text] || text).replace(/\{(\d)\}/g, (_, at) => values[at]);

  function tell(text, isLost) {
    if (!status) return;
    status.textContent = text;
    status.classList.toggle("lost", Boolean(isLost));
  }

  async function ask(url) {
    const answer = await fetch(url, { cache: "no-store" });
    const found = await answer.json();
    if (found.problem) throw new Error(found.problem);
    return found;
  }

  function again(what, milliseconds) {
    setTimeout(what, document.hidden ? Math.max(HIDDEN_MS, milliseconds) : milliseconds);
  }

  // ---- parts of the page, and the data of its charts

  const shown = new Map(); // the HTML of each part, as it was sent
  let mark = live ? live.dataset.mark : "";

  function put(parts) {
    for (const [name, html] of Object.entries(parts)) {
      const place = document.querySelector(`[data-part="${name}"]`);
      if (!place || shown.get(name) === html) continue;
      const open = [...place.querySelectorAll("details")].map((each) => each.open);
      const held = place.contains(document.activeElement) && (document.activeElement.value || document.activeElement.href);
      place.innerHTML = html;
      if (held) [...place.querySelectorAll("a, input")].find((each) => (each.value || each.href) === held)?.focus();
      place.querySelectorAll("details").forEach((each, at) => { each.open = Boolean(open[at]); });
      shown.set(name, html);
    }
    tick();
    filter();
  }

  async function follow() {
    let pause = EVERY_MS;
    try {
      const found = await ask(live.dataset.url + (mark ? `&mark=${encodeURIComponent(mark)}` : ""));
      if (found.reload) return location.reload();
      put(found.parts);
      if (found.data) document.dispatchEvent(new CustomEvent("mindlift:data", { detail: found.data }));
      mark = found.mark || mark;
      if (found.ended) pause = ENDED_MS;
      tell(found.ended ? "" : gettext("as of {0}", new Date().toLocaleTimeString("en-GB")));
    } catch (problem) {
      tell(problem instanceof TypeError ? gettext("mindlift ui has ended, or can't be reached") : problem.message, true);
      pause = 2 * EVERY_MS;
    }
    again(follow, pause);
  }

  // ---- what is ticked stays ticked in a list that is sent again

  const ticked = new Set();
  const go = document.getElementById("go");

  function tick() {
    if (!go) return;
    for (const box of document.querySelectorAll('input[name="of"]')) box.checked = ticked.has(box.value);
    go.disabled = !ticked.size;
    go.textContent = ticked.size > 1 ? gettext("compare {0}", ticked.size) : ticked.size ? gettext("open") : gettext("compare");
  }

  document.addEventListener("change", (event) => {
    if (event.target.name !== "of") return;
    if (event.target.checked) ticked.add(event.target.value);
    else ticked.delete(event.target.value);
    tick();
  });

  const wanted = document.getElementById("filter");

  function filter() {
    if (!wanted) return;
    const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll("table.list tbody tr")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  }

  // ---- a log

  const log = document.getElementById("log");

  function followLog() {
    const [lines, choose, note] = ["log-lines", "log-part", "log-note"].map((id) => document.getElementById(id));
    let after = -1;
    let part = 0;

    function append(found) {
      const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
      for (const line of found) lines.append(`${line}\n`);
      lines.hidden = !lines.childNodes.length; // before it is scrolled
      while (lines.childNodes.length > MOST_LINES) lines.firstChild.remove();
      if (isAtEnd) lines.scrollTop = lines.scrollHeight;
    }

    function offer(parts) {
      if (choose.options.length === parts.length) return;
      choose.replaceChildren(...parts.map((number) => new Option(`${log.dataset.what} ${number}`, number)));
      choose.value = part;
      choose.hidden = parts.length < 2;
    }

    async function look() {
      const asked = part;
      try {
        const found = await ask(`${log.dataset.url}&part=${part}${after < 0 ? "" : `&after=${after}`}`);
        if (asked === part) {
          offer(found.parts);
          append(found.lines);
          note.textContent = found.note;
          after = found.next;
        }
      } catch (problem) {
        if (!(problem instanceof TypeError)) note.textContent = problem.message;
      }
      again(look, LOG_MS);
    }

    choose.addEventListener("change", () => {
      part = Number(choose.value);
      after = -1;
      lines.replaceChildren();
    });
    look();
  }

  for (const place of document.querySelectorAll("[data-part]")) shown.set(place.dataset.part, null);
  if (wanted) wanted.addEventListener("input", filter);
  if (live) again(follow, EVERY_MS);
  if (log) followLog();
  tick();
})();

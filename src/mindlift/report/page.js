// Draws the curves and confusion matrices of the page and answers its tool bar.
// `data` is what src/mindlift/report/page.py wrote: runs, charts with their series, marks, confusions.
"use strict";
(() => {
  let data = JSON.parse(document.getElementById("data").textContent);
  const gettext = (text, ...values) => (data.words[text] || text).replace(/\{(\d)\}/g, (_, at) => values[at]);
  const several = data.runs.length > 1;
  const state = { axis: "steps", smooth: 0, hidden: new Set(), log: new Set() };
  const plots = new Map(); // chart id -> uPlot
  const INCREMENTS = Array.from({ length: 30 }, (_, at) => [1, 2, 5][at % 3] * 10 ** Math.floor(at / 3));
  const MARKS = { failed: "--bad", stopped: "--warn", continued: "--accent", start: "--accent", ended: "--good" };
  const MARK_NAMES = {
    failed: gettext("failed"), stopped: gettext("stopped"), continued: gettext("continued"),
    start: gettext("started"), ended: gettext("ended"),
  };

  // ---- numbers and colours

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");

  function shown(value) {
    if (value == null) return "–";
    const size = Math.abs(value);
    if (size && (size < 1e-3 || size >= 1e9)) return value.toExponential(2);
    return size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
  }

  function short(value) {
    if (value == null) return ""; // a place of a log axis that is not labelled
    const size = Math.abs(value);
    if (size >= 1e6) return Number((value / 1e6).toPrecision(4)) + " M";
    if (size && size < 1e-3) return value.toExponential().replace(/(\.\d\d)\d+/, "$1");
    return size >= 1000 ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));
  }

  function clockOf() { // the unit of the time axis
    const latest = Math.max(0, ...data.charts.flatMap((chart) => chart.series).flatMap((each) => [
      each.seconds ? Math.max(...each.seconds.slice(-1).filter((time) => time != null), 0) : 0,
      each.boxes ? Math.max(...each.boxes.slice(-1).map((box) => box[1])) : 0,
    ]));
    return latest > 7200 ? { name: "h", seconds: 3600 } : latest > 180 ? { name: "min", seconds: 60 } : { name: "s", seconds: 1 };
  }
  let clock = clockOf();

  function place(value, axis) { // of the x axis
    if (value == null) return "–";
    return axis === "steps" ? Math.round(value).toLocaleString("en") : `${Number(value.toPrecision(4))} ${clock.name}`;
  }

  // ---- series

  function smoothed(values, weight) { // exponential average without the pull of its start
    let sum = 0, share = 0;
    return values.map((value) => {
      if (value == null) return null;
      sum = weight * sum + (1 - weight) * value;
      share = weight * share + (1 - weight);
      return sum / share;
    });
  }

  function label(chart, series) {
    if (several) return data.runs[series.run].title + (series.label ? ` ${series.label}` : "");
    return series.label || chart.title.toLowerCase();
  }

  function points(series, axis) { // [x values, y values], x rising
    if (series.boxes) return [series.boxes.map((box) => box[0] / clock.seconds), series.boxes.map((box) => box[2])];
    if (axis === "steps") return [series.steps, series.values];
    const known = series.seconds.map((time, at) => [time, series.values[at]]).filter(([time]) => time != null);
    if (!known.length) return [[], []];
    const pauses = data.marks.filter((mark) => mark.run === series.run && mark.kind === "continued" && mark.seconds != null);
    const all = [...known, ...pauses.map((mark) => [mark.seconds, null])].sort((a, b) => a[0] - b[0]); // null breaks the line
    return [all.map(([time]) => time / clock.seconds), all.map(([, value]) => value)];
  }

  // The lines of a chart: {run, label, values, stroke, ...}; a smoothed one comes after its raw one.
  function lines(chart, axis) {
    const isLog = state.log.has(chart.id);
    const weight = chart.smooth ? state.smooth : 0;
    return chart.series.flatMap((series, at) => {
      let [xs, ys] = points(series, axis);
      if (!xs.length) return [];
      if (isLog) ys = ys.map((value) => (value > 0 ? value : null));
      const stroke = colour(`--c${(several ? series.run : at) % 8}`);
      const line = { series, xs, ys, stroke, label: label(chart, series) };
      if (!weight) return [line];
      return [{ ...line, stroke: faded(stroke, 0.25), isRaw: true }, { ...line, ys: smoothed(ys, weight) }];
    });
  }

  function asSeries(line) {
    const style = line.series.style;
    const isShown = !state.hidden.has(line.series.run);
    const isFew = style === "dots" || style === "raw";
    return {
      label: line.label, stroke: line.stroke, show: isShown, class: line.isRaw ? "raw" : undefined,
      width: line.isRaw ? 1 : 1.6, value: (_, value) => shown(value),
      points: isFew ? { show: true, size: 6, fill: line.stroke } : { show: line.xs.length < 3 },
      ...(style === "raw" ? { dash: [3, 3] } : {}),
      ...(style === "planned" ? { stroke: faded(line.stroke, 0.55), width: 2, points: { show: false } } : {}),
      ...(style === "used" ? { paths: () => null, points: { show: true, size: 4, width: 0, fill: line.stroke } } : {}), // on the plan
      ...(line.series.boxes ? { paths: () => null, points: { show: false } } : {}),
    };
  }

  // The nearest place at which a line has a value: lines don't share their steps.
  function nearest(plot, at, index) {
    const values = plot.data[at];
    for (let away = 0; away < values.length; away++) {
      if (values[index - away] != null) return index - away;
      if (values[index + away] != null) return index + away;
    }
    return index;
  }

  // ---- drawing over and under the lines

  function marksIn(plot, axis) { // [mark, x in canvas pixels] of those in sight
    const { left, width } = plot.bbox;
    const at = (mark) => (axis === "steps" ? mark.step : mark.seconds == null ? null : mark.seconds / clock.seconds);
    return data.marks
      .filter((mark) => mark.kind !== "ended" && !state.hidden.has(mark.run) && at(mark) != null)
      .map((mark) => [mark, plot.valToPos(at(mark), "x", true)])
      .filter(([, x]) => x >= left && x <= left + width);
  }

  const markColour = (mark) => colour(several ? `--c${mark.run % 8}` : MARKS[mark.kind] || "--faint");

  function drawMarks(plot, axis) {
    const { ctx, bbox } = plot;
    const scale = window.devicePixelRatio;
    ctx.save();
    ctx.lineWidth = scale;
    ctx.setLineDash([4 * scale, 3 * scale]);
    for (const [mark, x] of marksIn(plot, axis)) {
      ctx.strokeStyle = markColour(mark);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  function nameMarks(plot, axis) { // as far as the names don't run into each other
    if (several) return;
    const { ctx, bbox } = plot;
    const scale = window.devicePixelRatio;
    let free = -Infinity;
    ctx.save();
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.lineWidth = 4 * scale; // a halo over the lines below
    ctx.strokeStyle = colour("--card");
    for (const [mark, x] of marksIn(plot, axis)) {
      const words = MARK_NAMES[mark.kind] || mark.kind;
      const [left, right] = [x + 4 * scale, x + ctx.measureText(words).width + 8 * scale];
      if (x <= free || right > bbox.left + bbox.width) continue;
      ctx.fillStyle = markColour(mark);
      ctx.strokeText(words, left, bbox.top + 12 * scale);
      ctx.fillText(words, left, bbox.top + 12 * scale);
      free = right;
    }
    ctx.restore();
  }

  function drawBoxes(plot, first) {
    const { ctx, bbox } = plot;
    const drawn = plot.drawn || first;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    drawn.forEach((line, at) => {
      if (!plot.series[at + 1].show) return;
      for (const [start, end, rate] of line.series.boxes) {
        const [left, right] = [start, end].map((time) => plot.valToPos(time / clock.seconds, "x", true));
        const top = plot.valToPos(rate, "y", true);
        const width = Math.max(right - left, 2 * window.devicePixelRatio);
        ctx.fillStyle = faded(line.stroke, 0.3);
        ctx.strokeStyle = line.stroke;
        ctx.fillRect(left, top, width, bbox.top + bbox.height - top);
        ctx.strokeRect(left, top, width, bbox.top + bbox.height - top);
      }
    });
    ctx.restore();
  }

  // ---- one chart

  function yAxisSize(plot, values, at, cycle) {
    const axis = plot.axes[at];
    if (cycle > 1) return axis._size;
    const longest = (values || []).reduce((long, each) => (each.length > long.length ? each : long), "");
    plot.ctx.font = axis.font[0];
    return Math.ceil(axis.ticks.size + axis.gap + 4 + plot.ctx.measureText(longest).width / window.devicePixelRatio);
  }

  // The range of a chart that is not zoomed: that of all measured lines, so that charts lie below each other, and its own.
  function wholeRange(drawn, axis) {
    const measured = data.charts.flatMap((chart) => chart.series).filter((series) => series.steps && series.style !== "planned");
    const places = [
      ...measured.map((series) => points(series, axis)[0]), ...drawn.map((line) => line.xs),
      ...drawn.map((line) => (line.series.boxes || []).map((box) => box[1] / clock.seconds)),
    ].filter((xs) => xs.length);
    if (!places.length) return { min: 0, max: 1 };
    const low = Math.min(...places.map((xs) => xs[0]));
    const high = Math.max(...places.map((xs) => xs.reduce((most, x) => Math.max(most, x))));
    const least = axis === "steps" ? 1 : 0.01;
    return high - low < least ? { min: low - least, max: high + least } : { min: low, max: high };
  }

  function options(chart, drawn, axis, width, whole) {
    const ink = { stroke: colour("--faint"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { stroke: colour("--grid"), width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
    return {
      width, height: width < 420 ? 210 : 250, padding: [10, 20, 0, 0],
      scales: {
        x: { time: false, range: (plot, low, high) => (plot.zoomed ? [low, high] : [(plot.whole || whole).min, (plot.whole || whole).max]) },
        y: { distr: state.log.has(chart.id) ? 3 : 1, ...(chart.id === "transfers" ? { range: (_, low, high) => [0, (high || 1) * 1.08] } : {}) },
      },
      axes: [
        { ...ink, size: 30, space: 70, incrs: axis === "steps" ? INCREMENTS : undefined, values: (_, at) => at.map((value) => (axis === "steps" ? short(value) : place(value, axis))) },
        { ...ink, size: yAxisSize, values: (_, at) => at.map(short) },
      ],
      series: [{ label: axis === "steps" ? gettext("step") : gettext("time"), value: (_, value) => told(value, axis) }, ...drawn.map(asSeries)],
      cursor: {
        drag: { x: true, y: false }, dataIdx: nearest, bind: { dblclick: () => reset },
        sync: { key: axis, scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
      },
      hooks: {
        drawClear: chart.id === "transfers" ? [] : [(plot) => drawMarks(plot, axis)],
        draw: [(plot) => (chart.id === "transfers" ? drawBoxes(plot, drawn) : nameMarks(plot, axis))],
        setSelect: [(plot) => { if (plot.select.width) zoom(axis, plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")); }],
        setSeries: [(plot, at, change) => { if (drawn[at - 2] && drawn[at - 2].isRaw && change.show != null) plot.setSeries(at - 1, { show: change.show }, false); }],
      },
    };
  }

  function told(value, axis) { // the place below the cursor; epochs count from 0, as in the log
    const each = several ? null : data.runs[0].steps_per_epoch;
    return place(value, axis) + (axis === "steps" && each && value > 0 ? gettext(", epoch {0}", Math.floor((value - 1) / each)) : "");
  }

  const axisOf = (chart) => (chart.id === "transfers" ? "time" : state.axis);

  function build(chart) {
    const body = document.querySelector(`#chart-${chart.id} .body`);
    const axis = axisOf(chart);
    const drawn = lines(chart, axis);
    if (plots.has(chart.id)) plots.get(chart.id).destroy();
    const whole = wholeRange(drawn, axis);
    const plot = new uPlot(options(chart, drawn, axis, body.clientWidth, whole), tableOf(drawn), body);
    plot.whole = whole;
    plot.drawn = drawn;
    plot.runs = drawn.map((line) => line.series.run);
    pinch(plot, axis);
    plots.set(chart.id, plot);
  }

  const tableOf = (drawn) => (drawn.length ? uPlot.join(drawn.map((line) => [line.xs, line.ys])) : [[]]); // a plan has no times
  const kindsOf = (drawn) => drawn.map((line) => `${line.label} ${line.series.style} ${Boolean(line.isRaw)}`).join("\n");

  function renew(chart) { // new values in the same chart
    const plot = plots.get(chart.id);
    const axis = axisOf(chart);
    const drawn = lines(chart, axis);
    const range = plot.zoomed;
    if (kindsOf(drawn) !== kindsOf(plot.drawn)) {
      build(chart);
      if (range) show(plots.get(chart.id), range);
      return;
    }
    plot.drawn = drawn;
    plot.whole = wholeRange(drawn, axis);
    plot.setData(tableOf(drawn), !range);
    if (range) plot.setScale("x", range);
  }

  function update(next) { // what a server that follows the runs has read since
    data = next;
    const known = new Set(data.charts.map((chart) => chart.id));
    for (const [id, plot] of plots) {
      if (known.has(id)) continue;
      plot.destroy();
      plots.delete(id);
      document.getElementById(`chart-${id}`).remove();
    }
    const fresh = data.charts.filter((chart) => !plots.has(chart.id));
    fresh.forEach(frame);
    if (fresh.length) document.getElementById("charts").append(...data.charts.map((chart) => document.getElementById(`chart-${chart.id}`)));
    const unit = clockOf();
    if (unit.name !== clock.name) { // places on the time axis mean something else
      clock = unit;
      buildAll();
      return;
    }
    for (const chart of data.charts) {
      if (fresh.includes(chart)) build(chart);
      else renew(chart);
    }
  }

  function buildAll() {
    for (const chart of data.charts) build(chart);
    tellRange();
  }

  function frame(chart) {
    const card = document.createElement("div");
    card.className = "chart";
    card.id = `chart-${chart.id}`;
    card.innerHTML = '<header><h2></h2></header><div class="body"></div>';
    const title = card.querySelector("h2");
    title.textContent = chart.title;
    if (chart.unit) title.insertAdjacentHTML("beforeend", ` <span class="unit">${chart.unit}</span>`);
    if (chart.log) card.querySelector("header").append(logButton(chart));
    document.getElementById("charts").append(card);
    new ResizeObserver(([entry]) => {
      const plot = plots.get(chart.id);
      const width = Math.floor(entry.contentRect.width);
      if (plot && width && plot.width !== width) plot.setSize({ width, height: plot.height });
    }).observe(card.querySelector(".body"));
  }

  function logButton(chart) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = gettext("log");
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const wasLog = state.log.delete(chart.id);
      if (!wasLog) state.log.add(chart.id);
      button.setAttribute("aria-pressed", String(!wasLog));
      const plot = plots.get(chart.id);
      const range = plot.zoomed;
      build(chart);
      if (range) show(plots.get(chart.id), range);
    });
    return button;
  }

  // ---- zooming: all charts with the same x axis together

  function alike(axis) {
    return data.charts.filter((chart) => axisOf(chart) === axis).map((chart) => plots.get(chart.id));
  }

  function show(plot, range) {
    plot.zoomed = range;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    plot.setScale("x", range || plot.whole);
  }

  function zoom(axis, min, max) {
    if (!(max > min)) return;
    for (const plot of alike(axis)) show(plot, { min, max });
    tellRange();
  }

  function reset() {
    for (const plot of plots.values()) show(plot, null);
    tellRange();
  }

  function tellRange() {
    const [plot] = alike(state.axis);
    const range = plot && plot.zoomed;
    const [low, high] = range ? [range.min, range.max].map((value) => place(value, state.axis)) : [];
    document.getElementById("range").textContent = range ? `${state.axis === "steps" ? `${gettext("steps")} ` : ""}${low} – ${high}` : "";
  }

  function pinch(plot, axis) { // two fingers keep the places below them
    let held = null;
    const across = (event) => [...event.touches].map((touch) => touch.clientX - plot.over.getBoundingClientRect().left).sort((a, b) => a - b);
    plot.over.style.touchAction = "pan-y";
    plot.over.addEventListener("touchstart", (event) => {
      held = event.touches.length === 2 ? across(event).map((x) => plot.posToVal(x, "x")) : null;
    });
    plot.over.addEventListener("touchmove", (event) => {
      if (!held || event.touches.length !== 2) return;
      const [left, right] = across(event);
      const each = (held[1] - held[0]) / Math.max(right - left, 10);
      zoom(axis, held[0] - left * each, held[1] + (plot.over.clientWidth - right) * each);
    });
  }

  // ---- confusion matrices

  function confusion(box) {
    let classes, rows, totals;
    const canvas = box.querySelector("canvas");
    const readout = box.querySelector(".readout");
    let cell = 1, margin = 0;

    function draw() {
      ({ classes, rows } = data.confusions[Number(box.dataset.number)]);
      totals = rows.map((row) => row.reduce((sum, count) => sum + count, 0));
      const width = Math.min(box.clientWidth, 620);
      if (!width) return;
      const ctx = canvas.getContext("2d");
      ctx.font = "12px system-ui, sans-serif";
      const longest = Math.min(110, Math.max(...classes.map((name) => ctx.measureText(name).width)) + 10);
      margin = (width - longest) / classes.length >= 13 ? longest : 0;
      cell = (width - margin) / classes.length;
      const scale = window.devicePixelRatio;
      canvas.width = canvas.height = Math.round(width * scale);
      canvas.style.width = canvas.style.height = `${width}px`;
      ctx.scale(scale, scale);
      ctx.font = "12px system-ui, sans-serif";
      ctx.textBaseline = "middle";
      const [heat, ink, back, line] = ["--heat", "--ink", "--card", "--grid"].map(colour);
      rows.forEach((row, truth) => row.forEach((count, guess) => {
        const share = count / (totals[truth] || 1);
        const [x, y] = [margin + guess * cell, margin + truth * cell];
        ctx.fillStyle = count ? `rgba(${heat}, ${0.08 + 0.92 * share ** 0.6})` : line;
        ctx.fillRect(x, y, cell - (cell > 6 ? 1 : 0), cell - (cell > 6 ? 1 : 0));
        const words = count >= 10000 ? `${Math.round(count / 1000)}k` : String(count);
        if (count && cell >= 8 * words.length + 6) {
          ctx.fillStyle = share > 0.35 ? back : ink;
          ctx.textAlign = "center";
          ctx.fillText(words, x + cell / 2, y + cell / 2);
        }
      }));
      if (margin) classes.forEach((name, at) => drawNames(ctx, name, at, ink));
    }

    function drawNames(ctx, name, at, ink) {
      const cut = ctx.measureText(name).width > margin - 8 ? `${name.slice(0, 13)}…` : name;
      ctx.fillStyle = ink;
      ctx.textAlign = "right";
      ctx.fillText(cut, margin - 6, margin + (at + 0.5) * cell);
      ctx.save();
      ctx.translate(margin + (at + 0.5) * cell, margin - 6);
      const isUpright = ctx.measureText(cut).width < cell - 2;
      if (!isUpright) ctx.rotate(-Math.PI / 2);
      ctx.textAlign = isUpright ? "center" : "left";
      ctx.fillText(cut, 0, isUpright ? -6 : 0);
      ctx.restore();
    }

    canvas.addEventListener("mousemove", (event) => {
      const [guess, truth] = [event.offsetX, event.offsetY].map((at) => Math.floor((at - margin) / cell));
      if (!rows || !rows[truth] || rows[truth][guess] == null) return;
      const count = rows[truth][guess];
      const share = totals[truth] ? ` (${((100 * count) / totals[truth]).toFixed(1)} %)` : "";
      const [those, all] = [count, totals[truth]].map((each) => each.toLocaleString("en"));
      readout.textContent = gettext("truth {0}, predicted {1}: {2} of {3}", classes[truth], classes[guess], those, all) + share;
    });
    new ResizeObserver(draw).observe(box);
    return draw;
  }

  // ---- the tool bar

  function answer() {
    for (const button of document.querySelectorAll('input[name="axis"]')) {
      button.addEventListener("change", () => { state.axis = button.value; buildAll(); });
    }
    document.getElementById("smooth").addEventListener("input", (event) => {
      state.smooth = Number(event.target.value) / 100;
      document.getElementById("smooth-value").textContent = state.smooth ? state.smooth.toFixed(2) : "0";
      for (const chart of data.charts.filter((each) => each.smooth)) {
        const range = plots.get(chart.id).zoomed;
        build(chart);
        if (range) show(plots.get(chart.id), range);
      }
    });
    document.getElementById("reset").addEventListener("click", reset);
    for (const box of document.querySelectorAll(".hide-run")) {
      box.addEventListener("change", () => hide(Number(box.dataset.run), !box.checked));
    }
    for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
  }

  function hide(run, isHidden) {
    if (isHidden) state.hidden.add(run);
    else state.hidden.delete(run);
    for (const plot of plots.values()) {
      plot.runs.forEach((each, at) => { if (each === run) plot.setSeries(at + 1, { show: !isHidden }); });
    }
  }

  function copy(button) {
    const text = button.parentElement.querySelector("pre");
    const select = () => getSelection().selectAllChildren(text); // where a page from the disk may not use the clipboard
    if (!navigator.clipboard) return select();
    navigator.clipboard.writeText(text.textContent).then(() => { button.textContent = gettext("copied"); }, select);
  }

  data.charts.forEach(frame);
  buildAll();
  let redraw = new Map(); // what draws each matrix
  function drawConfusions() {
    const boxes = [...document.querySelectorAll(".confusion")];
    const known = redraw;
    redraw = new Map(boxes.map((box) => [box, known.get(box) || confusion(box)])); // a new one draws itself
    for (const box of boxes) if (known.has(box)) redraw.get(box)();
  }
  drawConfusions();
  answer();
  document.addEventListener("mindlift:data", (event) => { update(event.detail); drawConfusions(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    buildAll();
    for (const draw of redraw.values()) draw();
  });
})();

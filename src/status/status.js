// The live page: takes the events of /events, and shows each in place of the numbers that came with the page.
"use strict";
(() => {
  const RING = 128;            // turns of a worker that are shown
  const RATES = 8;             // events that a rate is computed from: two seconds
  const LOW = 1, HIGH = 1e6;   // the scale of a strip, in microseconds
  const SLOW = 1e4, CRITICAL = 5e4;

  const byId = (id) => document.getElementById(id);
  const strips = new Map();    // by slot
  const past = [];             // the last events, for rates
  let paused = false;

  const grouped = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");

  function time(micros) {
    if (micros < 1000) return `${Math.round(micros)} µs`;
    if (micros < 1e6) return `${(micros / 1000).toPrecision(3)} ms`;
    return `${(micros / 1e6).toPrecision(3)} s`;
  }

  function bytes(number) {
    for (const unit of ["B", "KiB", "MiB", "GiB"]) {
      if (number < 1024) return `${number < 10 && unit !== "B" ? number.toFixed(1) : Math.round(number)} ${unit}`;
      number /= 1024;
    }
    return `${number.toFixed(1)} TiB`;
  }

  function span(seconds) {
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = units.findIndex(([, size]) => seconds >= size);
    if (first < 0) return "0 s";
    const [name, size] = units[first];
    const rest = units[first + 1];
    const major = `${Math.floor(seconds / size)} ${name}`;
    return rest ? `${major} ${Math.floor(seconds % size / rest[1])} ${rest[0]}` : major;
  }

  function element(name, text, kind) {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  }

  function show(id, text) {
    const node = byId(id);
    if (node.textContent !== text) node.textContent = text;
  }

  // A cell with a number, and a bar for its part of `whole`.
  function bar(number, whole, isUneven) {
    const cell = element("td", undefined, "bar");
    const part = element("i", undefined, isUneven ? "uneven" : "");
    part.style.width = `calc((100% - .8rem) * ${whole > 0 ? Math.min(1, number / whole) : 0})`;
    part.hidden = number === 0;
    cell.append(part, element("b", grouped(number)));
    return cell;
  }

  function rows(id, lines) {
    byId(id).replaceChildren(...lines.map((cells) => {
      const row = element("tr");
      row.append(...cells);
      return row;
    }));
  }

  const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

  // How much a number grows in a second, over the last events.
  function rate(of) {
    const [first, last] = [past[0], past[past.length - 1]];
    const seconds = (last.uptime - first.uptime) / 1e6;
    return seconds > 0 ? Math.max(0, of(last) - of(first)) / seconds : 0;
  }

  function workerRate(slot, what) {
    return rate((event) => (event.workers.find((worker) => worker.slot === slot) || {})[what] || 0);
  }

  function figures(event) {
    byId("state").className = event.draining ? "state draining" : "state";
    show("state", event.draining ? "draining" : "serving");
    show("uptime", span(event.uptime / 1e6));
    show("requests", grouped(sum(event.responses)));
    show("requests-rate", `${grouped(rate((one) => sum(one.responses)))} a second`);
    show("bytes", bytes(event.bytes));
    show("bytes-rate", `${bytes(rate((one) => one.bytes))} a second`);
    const { busy, idle, lingering } = event.connections;
    show("open", grouped(busy + idle + lingering));
    show("restarts", grouped(event.restarts));
    show("lost", grouped(event.lost));
  }

  function findings(list) {
    const key = JSON.stringify(list);
    const node = byId("findings");
    if (node.dataset.key === key) return;  // a screen reader need not read it again
    node.dataset.key = key;
    node.replaceChildren(...(list.length ? list.map(({ text, cure }) => {
      const item = element("li", text, "found");
      item.append(element("span", cure));
      return item;
    }) : [element("li", "None.")]));
  }

  function tables(event) {
    const workers = event.workers;
    const most = (what) => Math.max(1, ...workers.map((worker) => worker[what]));
    const uneven = (what) => {
      const all = workers.filter((worker) => worker.state === "ready").map((worker) => worker[what]);
      return Math.max(...all) >= 8 && Math.max(...all) > 3 * Math.min(...all);
    };
    const [open, accepts] = [uneven("open"), uneven("accepts")];
    rows("workers", workers.map((worker) => [
      element("td", worker.slot), element("td", worker.pid), element("td", worker.state),
      bar(worker.open, most("open"), open), bar(worker.accepts, most("accepts"), accepts),
      element("td", `${grouped(worker.requests)} (${grouped(workerRate(worker.slot, "requests"))}/s)`),
      element("td", `${grouped(worker.turns)} (${grouped(workerRate(worker.slot, "turns"))}/s)`),
    ]));
    const all = sum(Object.values(event.connections));
    rows("states", Object.entries(event.connections).map(([name, number]) =>
      [element("td", name), bar(number, all)]));
    rows("queues", event.queues.map(({ name, length, limit }) =>
      [element("td", name, "word"), bar(length, limit, length >= .8 * limit), element("td", grouped(limit))]));
    rows("responses", event.responses.map((number, index) =>
      [element("td", `${index + 1}xx`), bar(number, sum(event.responses))]));
  }

  // One strip: a canvas with the last turns of a worker, and a line about them or about the chosen one.
  class Strip {
    constructor(slot) {
      this.turns = [];
      this.chosen = null;
      this.node = element("div", undefined, "strip");
      this.label = element("span", `worker ${slot}`);
      this.canvas = element("canvas");
      this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "img");
      this.line = element("p");
      this.node.append(this.label, this.canvas, this.line);
      this.canvas.addEventListener("keydown", (event) => this.step(event));
      this.canvas.addEventListener("blur", () => this.choose(null));
      this.canvas.addEventListener("pointermove", (event) => this.point(event));
      this.canvas.addEventListener("pointerleave", () => this.choose(null));
    }

    add(turns) {
      this.turns.push(...turns);
      const gone = Math.max(0, this.turns.length - RING);
      this.turns.splice(0, gone);
      if (this.chosen !== null) this.chosen = this.chosen < gone ? null : this.chosen - gone;
      this.draw();
    }

    step(event) {
      const last = this.turns.length - 1;
      const now = this.chosen === null ? last + 1 : this.chosen;
      const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
      if (next === undefined || last < 0) return;
      event.preventDefault();
      this.choose(Math.min(last, Math.max(0, next)));
    }

    point(event) {
      const box = this.canvas.getBoundingClientRect();
      const at = Math.floor((event.clientX - box.left) / box.width * RING) - (RING - this.turns.length);
      this.choose(at >= 0 && at < this.turns.length ? at : null);
    }

    choose(at) {
      this.chosen = at;
      this.draw();
    }

    draw() {
      const style = getComputedStyle(document.documentElement);
      const color = (name) => style.getPropertyValue(`--${name}`).trim();
      const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
      const scale = window.devicePixelRatio || 1;
      this.canvas.width = width * scale;
      this.canvas.height = height * scale;
      const paint = this.canvas.getContext("2d");
      paint.scale(scale, scale);
      const step = width / RING, middle = height * .68;
      const size = (micros, room) =>
        room * Math.min(1, Math.max(.04, Math.log(Math.max(LOW, micros) / LOW) / Math.log(HIGH / LOW)));
      this.turns.forEach(([, waited, worked], index) => {
        const x = width - (this.turns.length - index) * step;
        const kind = worked >= CRITICAL ? "critical" : worked >= SLOW ? "slow" : "work";
        paint.fillStyle = color(kind);
        const up = size(worked, middle);
        paint.fillRect(x, middle - up, Math.max(1, step - 1), up);
        paint.fillStyle = color("wait");
        paint.fillRect(x, middle + 1, Math.max(1, step - 1), size(waited, height - middle - 2));
        if (index === this.chosen) {
          paint.strokeStyle = color("text");
          paint.strokeRect(x - .5, .5, step, height - 1);
        }
      });
      this.say();
    }

    say() {
      let text = "no turn yet";
      if (this.chosen !== null) {
        const [, waited, worked, events] = this.turns[this.chosen];
        const age = this.turns.length - 1 - this.chosen;
        text = `${age === 0 ? "last turn" : `${age} ${age === 1 ? "turn" : "turns"} ago`}: waited ${time(waited)}, worked ${time(worked)}, ` +
          `${events} ${events === 1 ? "event" : "events"}`;
      } else if (this.turns.length) {
        const [waited, worked] = [1, 2].map((at) => this.turns.map((turn) => turn[at]));
        const busy = sum(worked) / Math.max(1, sum(worked) + sum(waited));
        text = `${this.turns.length} turns in ${time(sum(worked) + sum(waited))}: ` +
          `longest ${time(Math.max(...worked))}, ${Math.round(busy * 100)} % work`;
      }
      if (this.line.textContent !== text) this.line.textContent = text;
      this.canvas.setAttribute("aria-label", text);
    }
  }

  function turns(workers) {
    byId("turns").hidden = false;
    for (const [slot, strip] of strips) {
      if (!workers.some((worker) => worker.slot === slot)) {
        strip.node.remove();
        strips.delete(slot);
      }
    }
    for (const { slot, ring } of workers) {
      if (!ring) continue;
      if (!strips.has(slot)) {
        strips.set(slot, new Strip(slot));
        byId("strips").append(strips.get(slot).node);
      }
      strips.get(slot).add(ring);
    }
  }

  function take(event) {
    // Another worker, or another server, may have taken over: its clock decides.
    if (past.length && past[past.length - 1].uptime > event.uptime) past.length = 0;
    past.push(event);
    if (past.length > RATES) past.shift();
    if (paused) return;
    figures(event);
    findings(event.findings);
    tables(event);
    turns(event.workers);
  }

  byId("live").hidden = false;
  const button = byId("pause");
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
  });
  window.addEventListener("resize", () => strips.forEach((strip) => strip.draw()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => strips.forEach((strip) => strip.draw()));
  const source = new EventSource("events");
  source.addEventListener("open", () => show("connection", "live"));
  source.addEventListener("error", () => show("connection", "no connection; trying again"));
  source.addEventListener("message", (message) => take(JSON.parse(message.data)));
})();

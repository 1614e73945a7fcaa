// stheno, the demo site: the live drawing of the loop, and the panel that asks
// the server it came from. No libraries; nothing is fetched until you press a button.
"use strict";

document.documentElement.classList.add("js");

const THIN = "\u202f";
const number = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, THIN);

function element(tag, attributes = {}, ...children) {
  const svg = /^(svg|g|circle|path|text)$/.test(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag)
                   : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

if (location.protocol.startsWith("http")) {
  for (const node of document.querySelectorAll("[data-host]")) node.textContent = location.host;
  for (const node of document.querySelectorAll("[data-hostport]"))
    node.textContent = `${location.hostname} ${location.port || 80}`;
}

// ------------------------------------------------------------------ the model
//
// One worker with a slab of eight seats. Times are microseconds of an invented
// clock; the rules (edge-triggered readiness, budgets, states) are the server's.

const SEATS = 8;
const BYTE_BUDGET = 256 * 1024;
const REQUEST_BUDGET = 16;
const BATCH = 1100;

function dice(seed) {                       // mulberry32
  return (low, high) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return low + (((t ^ (t >>> 14)) >>> 0) % (high - low + 1));
  };
}

class Model {
  constructor(seed) {
    this.roll = dice(seed);
    this.now = 0;
    this.turn = 0;
    this.world = [];                        // [when, what, link, chunk]
    this.backlog = [];
    this.ready = new Map();                 // link -> "readable" | "writable"
    this.carried = [];                      // budget spent, goes on next turn
    this.seats = new Array(SEATS).fill(null);
    this.generation = new Array(SEATS).fill(0);
    this.menu = ["page", "slow", "large", "page", "bad", "page", "burst", "body", "page", "large"];
    this.served = 0;
    this.steps = this.life();
  }

  at(when, what, link, chunk) {
    when = Math.ceil(when / BATCH) * BATCH;         // the network card reports in batches
    this.world.push([when, what, link, chunk]);
    this.world.sort((a, b) => a[0] - b[0]);
  }

  visitor(kind) {
    const { roll } = this;
    const link = {
      kind, state: "Reading", waves: [], socket: [], buffer: [], ended: false,
      left: 0, answer: null, fill: 0, filledAt: 0, blocked: false,
      rate: kind === "large" ? 900 : roll(60, 200), room: kind === "large" ? 720000 : 400000,
      got: 0, gave: 0, bytes: 0, requests: 0,
    };
    const file = (path, size) => ({ path, status: "200", size: size + 240, by: "sendfile" });
    const head = (answer) => ({ size: roll(180, 460), means: "head", answer });
    const page = () => file(...[["/", 13902], ["/guide/", 11340], ["/style.css", 14873],
                                ["/app.js", 27310], ["/img/flow.svg", 4906]][roll(0, 4)]);
    if (kind === "page") {
      for (let i = roll(2, 5); i > 0; i--) link.waves.push([[0, head(page())]]);
    } else if (kind === "large") {
      link.waves.push([[0, head({ path: "/iso/disk.img", status: "206", size: 2202009, by: "sendfile" })]]);
    } else if (kind === "burst") {
      const wave = [];
      for (let i = 0; i < 40; i++)
        wave.push([0, { size: roll(88, 130), means: "head",
                        answer: { path: "/img/flow.svg", status: "304", size: 171, by: "send" } }]);
      link.waves.push(wave);
    } else if (kind === "slow") {
      link.waves.push([[0, { size: 61, means: "start" }], [2600, { size: 104, means: "more" }],
                       [2900, { size: 139, means: "head", answer: page() }]]);
    } else if (kind === "body") {
      link.waves.push([[0, { size: 236, means: "announce", length: 1204 }], [1900, { size: 700, means: "part", missing: 504 }],
                       [1600, { size: 504, means: "end", answer: page() }]]);
    } else {
      link.waves.push([[0, { size: 143, means: "bad",
                             answer: { path: "", status: "400", size: 288, by: "send" } }],
                       [1700, { size: 4096, means: "junk" }], [1500, { size: 2210, means: "junk" }]]);
    }
    return link;
  }

  speak(link, delay) {
    let when = this.now + delay;
    const wave = link.waves.shift();
    if (wave) for (const [wait, chunk] of wave) this.at(when += wait, "data", link, chunk);
    if (!wave || link.kind === "bad") this.at(when + (wave ? 1400 : 0), "end", link);
  }

  happen() {
    while (this.world.length && this.world[0][0] <= this.now) {
      const [, what, link, chunk] = this.world.shift();
      if (what === "connect") { this.backlog.push(link); continue; }
      if (link.state === "Closed") continue;
      if (what === "data") link.socket.push(chunk);
      if (what === "end") link.ended = true;
      if (what === "drained") link.blocked = false;
      if (!this.carried.includes(link) && !this.ready.has(link))
        this.ready.set(link, what === "drained" ? "writable" : "readable");
    }
  }

  invite() {
    const coming = this.world.some((event) => event[1] === "connect");
    const taken = this.seats.filter(Boolean).length + this.backlog.length;
    if (!coming && taken < 7) {
      const kind = this.menu.shift();
      this.menu.push(kind);
      this.at(this.now + this.roll(200, taken < 6 ? 600 : 4200), "connect", this.visitor(kind));
    }
  }

  * life() {
    for (;;) {
      this.invite();
      this.happen();
      const room = this.seats.includes(null);
      if (!this.ready.size && !this.carried.length && !(this.backlog.length && room)) {
        yield { phase: "asleep", stage: "Poll",
                say: "Nothing is ready. The worker sleeps in Poll until the kernel has news." };
        this.now = this.world.length ? Math.max(this.now, this.world[0][0]) : this.now + 500;
        this.happen();
        if (!this.ready.size && !(this.backlog.length && this.seats.includes(null))) continue;
      }
      this.turn += 1;
      const todo = [...this.carried.map((link) => [link, "resume"]), ...this.ready];
      this.carried = [];
      this.ready = new Map();
      for (const link of this.seats) if (link) { link.bytes = 0; link.requests = 0; }
      this.todo = new Set(todo.map(([link]) => link));
      const names = todo.map(([link, event]) =>
        `${link.key} ${event === "resume" ? "goes on from the last turn" : `is ${event}`}`);
      if (this.backlog.length && this.seats.includes(null)) names.unshift("someone is at the door");
      yield { phase: "woken", stage: "Poll", say: `Turn ${this.turn}: ${names.join(", ")}.` };

      while (this.backlog.length && this.seats.includes(null)) {
        const link = this.backlog.shift();
        const seat = this.seats.indexOf(null);
        this.generation[seat] += 1;
        Object.assign(link, { seat, key: `${seat}.${this.generation[seat]}` });
        this.seats[seat] = link;
        this.now += 14;
        this.speak(link, 260);
        yield { phase: "accept", link, stage: "Poll", line: ["accept", "", "Reading"],
                say: `accept: the slab gives out seat ${seat}, generation ${this.generation[seat]}. The connection starts in Reading.` };
      }
      for (const [link, event] of todo) {
        if (link.state !== "Closed") yield* this.serve(link, event);
        this.todo.delete(link);
      }
      this.happen();
    }
  }

  change(link, state) {
    const before = link.state;
    link.state = state;
    return [before, state];
  }

  // One connection's share of a turn: on until it blocks or its budget is spent.
  * serve(link, event) {
    const step = (stage, say, more = {}) => ({ phase: "dispatch", link, stage, say, ...more });
    const who = link.key;
    for (;;) {
      if (link.state === "Writing" || link.state === "Error") {
        if (link.blocked) {
          yield step("recv", `${who} is readable while it waits to write. That is noted for later.`);
          return;
        }
        const drained = Math.max(0, link.fill - link.rate * (this.now - link.filledAt));
        const part = Math.min(link.left, link.room - drained, BYTE_BUDGET - link.bytes);
        this.now += 9 + part / 2500;
        link.fill = drained + part;
        link.filledAt = this.now;
        link.left -= part;
        link.gave += part;
        link.bytes += part;
        const by = link.answer.by;
        const quick = link.kind === "burst";
        if (link.left <= 0) {
          if (link.state === "Error") {
            const change = this.change(link, "Lingering");
            yield step("write", `${who}: the refusal is out (${number(part)} bytes). Our side is shut down, the other side may still be talking: Lingering.`,
                       { out: part, line: ["send", ...change] });
            continue;
          }
          const change = this.change(link, "Reading");
          this.served += 1;
          if (!link.buffer.length && !link.socket.length) this.speak(link, this.roll(1500, 9000));
          yield step("write", `${who}: ${by} sends ${number(part)} bytes, the response is complete. Keep-alive: back to Reading.`,
                     { out: part, quick, line: [by, ...change] });
          continue;
        }
        if (link.bytes >= BYTE_BUDGET) {
          this.carried.push(link);
          yield step("write", `${who}: ${by} has sent ${number(part)} bytes and the budget of 256 KiB is spent. It goes on next turn; now it is someone else's time.`,
                     { out: part, line: [by, link.state, link.state, "budget"] });
          return;
        }
        link.blocked = true;
        const wait = Math.max(400, (link.fill - link.room / 3) / link.rate);
        this.at(this.now + wait, "drained", link);
        yield step("write", `${who}: ${by} sends ${number(part)} bytes and the kernel's buffer is full. Not a moment is spent waiting: the kernel will report when there is room.`,
                   { out: part, line: [by, link.state, link.state, "full"] });
        return;
      }

      if (!link.buffer.length) {
        if (!link.socket.length) {
          if (link.ended) {
            const change = this.change(link, "Closed");
            yield step("recv", `${who}: recv returns 0, the client is done. Closed; seat ${link.seat} is free and its next key will be ${link.seat}.${this.generation[link.seat] + 1}.`,
                       { line: ["close", ...change] });
            this.seats[link.seat] = null;
          }
          return;
        }
        const size = link.socket.reduce((sum, chunk) => sum + chunk.size, 0);
        link.buffer = link.socket;
        link.socket = [];
        link.got += size;
        link.bytes += size;
        this.now += 7;
        if (link.state === "Lingering") {
          yield step("recv", `${who}: ${number(size)} bytes arrive after the refusal. They are read and thrown away.`,
                     { in: size, line: ["recv", "Lingering", "Lingering"] });
        } else {
          const change = link.state === "Reading" ? this.change(link, "Headers") : [link.state, link.state];
          yield step("recv", `${who} is readable: recv takes ${number(size)} bytes${change[0] === "Reading" ? ", a request has begun" : ""}.`,
                     { in: size, line: ["recv", ...change] });
        }
      } else if (link.state === "Reading") {
        if (link.requests >= REQUEST_BUDGET) {
          this.carried.push(link);
          yield step("http1", `${who} has had 16 requests answered in this turn. The rest stay in its input buffer until the next one.`,
                     { line: ["stop", "Reading", "Reading", "budget"] });
          return;
        }
        this.change(link, "Headers");
      }

      const chunk = link.buffer.shift();
      const quick = link.kind === "burst";
      if (link.state === "Lingering" || chunk.means === "junk") continue;
      if (chunk.means === "start" || chunk.means === "more") {
        yield step("http1", `${who}: the terminator, an empty line, is not there yet. The bytes stay in the input buffer.`);
        continue;
      }
      if (chunk.means === "part") {
        yield step("http1", `${who}: part of the body. The terminator is now a count, and ${number(chunk.missing)} bytes are missing.`);
        continue;
      }
      if (chunk.means === "announce") {
        const change = this.change(link, "Body");
        yield step("http1", `${who}: the head announces a body of ${number(chunk.length)} bytes. It has to be read before the answer.`,
                   { line: ["head", ...change] });
        continue;
      }
      if (chunk.means === "bad") {
        const change = this.change(link, "Error");
        link.answer = chunk.answer;
        link.left = chunk.answer.size;
        yield step("http1", `${who}: two different lengths for one body. That is a doubt about framing, so the answer is 400.`,
                   { line: ["doubt", ...change] });
        continue;
      }
      this.now += 20;
      if (!quick) yield step("http1", `${who}: ${chunk.means === "end" ? "the body is complete" : "the terminator is found, the head is complete"}. http1::Connection makes a request of it.`);
      link.answer = chunk.answer;
      link.left = chunk.answer.size;
      link.requests += 1;
      const change = this.change(link, "Writing");
      yield step("Service", `${who}: Service answers GET ${chunk.answer.path} with ${chunk.answer.status}${chunk.answer.by === "send" ? ", a head and no body" : ""}.`,
                 { quick, line: [chunk.answer.status, ...change] });
    }
  }
}

// ------------------------------------------------------------------ the drawing

function loop(root) {
  const stage = root.querySelector("[data-stage]");
  const rows = root.querySelector("[data-slab]");
  const say = root.querySelector("[data-say]");
  const log = root.querySelector("[data-log]");
  const chips = [...root.querySelectorAll("[data-path] li")];
  const play = root.querySelector("[data-play]");
  const speed = root.querySelector("[data-speed]");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const model = new Model(1996);
  const lines = [];
  let timer = 0, frame = 0, wanted = !calm.matches, visible = true, active = null;

  const HUB = 64, FAR = 168, NODE = 25;
  const snakePath = (angle, phase, swing) => {
    const points = [];
    for (let i = 0; i <= 22; i++) {
      const t = i / 22;
      const r = HUB + (FAR - NODE - HUB) * t;
      const off = swing * Math.sin(t * Math.PI * 2 + phase) * Math.sin(t * Math.PI);
      points.push([r * Math.cos(angle) - off * Math.sin(angle), r * Math.sin(angle) + off * Math.cos(angle)]);
    }
    return points;
  };
  const draw = (points) => "M" + points.map((p) => p[0].toFixed(1) + " " + p[1].toFixed(1)).join("L");
  const arc = (share) => {
    const r = NODE + 6, a = Math.min(share, 0.9999) * 2 * Math.PI;
    return share <= 0 ? "" :
      `M0 ${-r}A${r} ${r} 0 ${a > Math.PI ? 1 : 0} 1 ${(r * Math.sin(a)).toFixed(2)} ${(-r * Math.cos(a)).toFixed(2)}`;
  };

  const svg = element("svg", { viewBox: "-205 -205 410 410", role: "img",
    "aria-label": "A hub named Poll with eight connections around it. The table next to it says the same in words." });
  const seats = [];
  for (let i = 0; i < SEATS; i++) {
    const angle = -Math.PI / 2 + i * 2 * Math.PI / SEATS;
    const snake = element("path", { class: "snake", d: draw(snakePath(angle, 0, 9)) });
    const spent = element("path", { class: "spent" });
    const key = element("text", { class: "key", y: "4.5" });
    const node = element("g", { transform: `translate(${FAR * Math.cos(angle)} ${FAR * Math.sin(angle)})` },
      element("circle", { class: "ring", r: NODE + 6 }), spent,
      element("circle", { class: "node", r: NODE }), key);
    const group = element("g", { class: "seat" }, snake, node);
    svg.append(group);
    const cells = Array.from({ length: 5 }, () => element("td"));
    const meter = element("i");
    cells[4].append(element("span", { class: "meter" }, meter));
    const row = element("tr", {}, ...cells);
    rows.append(row);
    seats.push({ angle, snake, spent, key, group, row, cells, meter });
  }
  const turnText = element("text", { class: "hub-turn", y: "2" });
  const phaseText = element("text", { class: "hub-phase", y: "22" });
  const parcel = element("circle", { class: "parcel byte", r: "6.5", fill: "currentColor" });
  svg.append(element("circle", { class: "hub", r: HUB - 6 }),
             element("text", { class: "hub-phase", y: "-22" }, "Poll"), turnText, phaseText, parcel);
  stage.append(svg);

  const stages = { Poll: 0, recv: 1, InBuffer: 2, http1: 3, Service: 4, write: 5 };

  function show(step) {
    turnText.textContent = `turn ${model.turn}`;
    phaseText.textContent = step.phase === "asleep" ? "asleep" : step.phase === "woken" ? "woken" :
                            step.phase === "accept" ? "accept" : "at work";
    seats.forEach((seat, i) => {
      const link = model.seats[i];
      const name = link ? link.state.toLowerCase() : "";
      const share = link ? Math.max(link.bytes / BYTE_BUDGET, link.requests / REQUEST_BUDGET) : 0;
      const current = Boolean(link && step.link === link);
      const waiting = Boolean(link && step.phase !== "asleep" && model.todo && model.todo.has(link) && !current);
      seat.group.setAttribute("class", `seat${link ? ` live st-${name}` : ""}${waiting ? " ready" : ""}${current ? " served" : ""}`);
      seat.snake.classList.toggle("on", Boolean(link) && (current || waiting));
      seat.key.textContent = link ? link.key : i;
      seat.spent.setAttribute("d", current ? arc(share && Math.max(share, 0.02)) : "");
      seat.row.className = link ? (current ? "now" : "") : "free";
      const [key, state, got, gave] = seat.cells;
      key.textContent = link ? link.key : i;
      state.textContent = link ? link.state : "free";
      state.className = link ? `st-${name}` : "";
      got.textContent = link ? number(link.got) : "";
      gave.textContent = link ? number(link.gave) : "";
      seat.meter.style.width = `${Math.min(100, share * 100).toFixed(1)}%`;
    });
    chips.forEach((chip, i) => chip.classList.toggle("on", i === stages[step.stage]));
    say.textContent = step.say;
    if (step.line) {
      const [event, before, after, note] = step.line;
      const change = before ? `${before} → ${after}` : after;
      lines.push(`${String(model.turn).padStart(3)} ${step.link.key.padEnd(5)}${event.padEnd(9)}${change.padEnd(19)}` +
                 `${step.in ? ` in ${number(step.in)}` : ""}${step.out ? ` out ${number(step.out)}` : ""}${note ? ` (${note})` : ""}`);
      if (lines.length > 7) lines.shift();
      log.textContent = lines.join("\n");
    }
  }

  // the snake of the connection being served moves, and a byte runs along it
  function animate(step, time) {
    cancelAnimationFrame(frame);
    if (active) active.snake.setAttribute("d", draw(snakePath(active.angle, 0, 9)));
    parcel.setAttribute("class", "parcel");
    active = step.link && step.link.seat !== undefined ? seats[step.link.seat] : null;
    if (!active || calm.matches || !running()) return;
    const seat = active, start = performance.now(), length = Math.min(650, time * 0.8);
    const inward = step.in > 0, outward = step.out > 0;
    const tick = (at) => {
      const t = Math.max(0, Math.min(1, (at - start) / length));
      const points = snakePath(seat.angle, (inward ? -1 : 1) * t * 2 * Math.PI, 9 + 4 * Math.sin(t * Math.PI));
      seat.snake.setAttribute("d", draw(points));
      if (inward || outward) {
        const p = points[Math.round((inward ? 1 - t : t) * (points.length - 1))];
        parcel.setAttribute("cx", p[0]);
        parcel.setAttribute("cy", p[1]);
        parcel.setAttribute("class", `parcel${t < 1 ? " on" : ""}`);
      }
      if (t < 1) frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
  }

  const running = () => wanted && visible && !document.hidden;
  const pause = (step) => {
    const base = step.quick ? 190 : step.phase === "asleep" ? 700 : step.phase === "woken" ? 1500 : 1250;
    return base / Number(speed.value);
  };

  function advance() {
    const step = model.steps.next().value;
    const time = pause(step);
    show(step);
    animate(step, time);
    if (running()) timer = setTimeout(advance, time);
  }

  function settle() {
    clearTimeout(timer);
    play.textContent = wanted ? "Pause" : "Play";
    say.setAttribute("aria-live", wanted ? "off" : "polite");
    if (running()) timer = setTimeout(advance, 400);
  }

  play.addEventListener("click", () => { wanted = !wanted; settle(); });
  root.querySelector("[data-step]").addEventListener("click", () => {
    wanted = false;
    settle();
    advance();
  });
  for (const button of root.querySelectorAll("[data-send]")) {
    button.addEventListener("click", () => {
      const full = !model.seats.includes(null);
      if (model.backlog.length < 8) model.at(model.now + 1, "connect", model.visitor(button.dataset.send));
      if (full) say.textContent = "All eight seats of this drawing are taken. The newcomer waits in the accept queue.";
    });
  }
  document.addEventListener("visibilitychange", settle);
  calm.addEventListener("change", () => { if (calm.matches) { wanted = false; settle(); } });
  if ("IntersectionObserver" in window) {
    new IntersectionObserver((entries) => {
      visible = entries[entries.length - 1].isIntersecting;
      settle();
    }, { rootMargin: "80px" }).observe(root);
  }

  // start in the middle of things, so that there is something to see at once
  for (let i = 0; i < 57; i++) show(model.steps.next().value);
  settle();
}

// ------------------------------------------------------------------ ask the server

function ask(root) {
  const out = root.querySelector("[data-wire]");
  const here = (path) => new URL(path, document.baseURI);
  let serial = 0;

  const cases = {
    200: async (x) => { await x.send("GET", "one%20byte.txt", {}, 200, "text"); },
    head: async (x) => { await x.send("HEAD", "img/gorgon.png", {}, 200, "none"); },
    304: async (x) => {
      const first = await x.send("HEAD", "style.css", {}, 200, "none");
      const tag = first.headers.get("etag");
      if (!tag) return x.remark("This server sent no ETag, so there is nothing to compare with.");
      x.gap();
      await x.send("GET", "style.css", { "If-None-Match": tag }, 304, "none");
    },
    206: async (x) => { await x.send("GET", "img/gorgon.png", { Range: "bytes=0-15" }, 206, "hex"); },
    ranges: async (x) => { await x.send("GET", "one%20byte.txt", { Range: "bytes=0-27,-34" }, 206, "text"); },
    404: async (x) => { await x.send("GET", "no-such-page.html", {}, 404, "text"); },
    416: async (x) => { await x.send("GET", "one%20byte.txt", { Range: "bytes=1000000-" }, 416, "text"); },
  };

  function sheet(ticket) {
    const put = (text, kind) => {
      if (ticket === serial) out.append(kind ? element("span", { class: kind }, text) : text);
    };
    return {
      remark: (text) => put(`\n${text}\n`, "c"),
      gap: () => put("\n\n"),
      async send(method, path, headers, expected, body) {
        const url = here(path);
        put(`${method} ${url.pathname}\n`, "q");
        for (const [name, value] of Object.entries(headers)) put(`${name}: ${value}\n`, "q");
        put("\n");
        const started = performance.now();
        const response = await fetch(url, { method, headers, cache: "no-store" });
        const bytes = new Uint8Array(await response.arrayBuffer());
        const took = performance.now() - started;
        put(`${response.status} ${response.statusText}\n`, "s");
        for (const [name, value] of response.headers) {
          put(name, "n");
          put(`: ${value}\n`);
        }
        put(`\n${bytes.length ? `${number(bytes.length)} bytes of body` : "no body"}, ${took.toFixed(1)} ms\n`, "q");
        if (bytes.length && body === "text") {
          const text = new TextDecoder().decode(bytes.subarray(0, 431));
          put(`\n${text.trimEnd()}${bytes.length > 431 ? "\n[and so on]" : ""}\n`);
        } else if (bytes.length && body === "hex") {
          put(`\n${[...bytes.subarray(0, 16)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}\n`);
          if (bytes[1] === 80 && bytes[2] === 78 && bytes[3] === 71) put("the signature of a PNG file\n", "q");
        }
        if (response.status !== expected)
          this.remark(`This server answered ${response.status}; stheno answers ${expected}.`);
        return response;
      },
    };
  }

  for (const button of root.querySelectorAll("[data-ask]")) {
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      serial += 1;
      for (const other of root.querySelectorAll("[data-ask]"))
        other.setAttribute("aria-pressed", String(other === button));
      out.textContent = "";
      const x = sheet(serial);
      try {
        await cases[button.dataset.ask](x);
      } catch (error) {
        x.remark(location.protocol === "file:"
          ? "There is no server here: the page was opened from the disk."
          : `The request failed: ${error.message}`);
      }
    });
  }
}

for (const root of document.querySelectorAll("[data-loop]")) loop(root);
for (const root of document.querySelectorAll("[data-ask-panel]")) ask(root);

// The loop as a circle: it waits, and then goes round its stations. Each hook of this turn is a bead at its station.

const RADIUS = 104, BEADS = 12;
// Why a hook is called → its station. New channels have their first hook after the events.
const STATION_OF = { event: "events", new: "events", wake: "events", ready: "ready", again: "again", late: "late",
  deadline: "timers", call: "timers", shutdown: "shutdown", program: "calls" };
const STATIONS = ["wait", "late", "ready", "events", "calls", "wake", "again", "timers", "shutdown"];
const ALWAYS = { reactor: ["events", "again", "timers"], select: ["ready"], poll: ["ready"], mio: ["events"],
  futures: ["events", "wake"], tokio: ["wake"], epoll: ["events"], blocking: ["calls"] };

class Ring {
  constructor(root, player) {
    this.root = root;
    this.player = player;
    this.model = null;
  }

  draw() {
    if (this.model !== this.player.model || this.language !== language) this.build();
    const { player } = this, { recording } = player.model;
    const hook = player.hook, kind = recording.kind[player.at];
    const station = kind === KIND.Wait ? "wait" : hook ? this.station(hook) : this.lastStation();
    for (const node of this.stations.values()) node.classList.toggle("on", node.dataset.name === station);
    this.drawBeads(hook);
    const angle = this.angleOfBead(hook) ?? this.angles.get(station);
    this.marker.style.transform = `rotate(${(angle * 180) / Math.PI}deg)`;
    const turn = player.turn;
    this.hub[0].textContent = turn.waitAt < 0 ? "" : `${word("turn")} ${whole(turn.number)}`;
    this.hub[1].textContent = hook ? hook.name : kind === KIND.Wait ? word("waiting") : "";
    const limit = isFinite(turn.planned) ? `≤ ${duration(turn.planned)}` : "∞";
    this.hub[2].textContent = hook ? player.model.label(hook.life) : kind === KIND.Wait ? limit : "";
    this.hub[1].setAttribute("class", `hub-hook${hook ? ` c-${colourOf(hook)}` : ""}`);
  }

  station(hook) {
    const name = hook.why === "wake" && this.angles.has("wake") ? "wake" : STATION_OF[hook.why];
    return this.angles.has(name) ? name : this.names[1] || "wait";
  }

  // Between two hooks the loop is at the station of the last one.
  lastStation() {
    const { turn, at, model } = this.player;
    if (model.recording.kind[at] === KIND.Event) return this.names.find((name) => /events|ready/.test(name)) || "wait";
    const before = turn.hooks.filter((hook) => hook.exit < at);
    return before.length ? this.station(before[before.length - 1]) : "wait";
  }

  build() {
    this.model = this.player.model;
    this.language = language;
    const seen = new Set(this.model.hooks.map((hook) => STATION_OF[hook.why]));
    const kind = this.model.recording.facts.loop;
    const always = ALWAYS[this.model.fromOutside && !this.model.blocks ? "epoll" : kind] || [];
    this.names = STATIONS.filter((name) => name === "wait" || seen.has(name) || always.includes(name));
    this.angles = new Map(this.names.map((name, at) => [name, -Math.PI / 2 + (at * 2 * Math.PI) / this.names.length]));
    const svg = make("svg", { viewBox: "-200 -150 400 300", role: "img", "aria-labelledby": "sentence" });
    svg.append(make("circle", { class: "track", r: RADIUS }));
    this.stations = new Map();
    for (const [name, angle] of this.angles) svg.append(this.drawStation(name, angle));
    svg.append(this.arrow());
    this.beads = make("g", {});
    this.marker = make("g", { class: "marker" }, make("circle", { cx: RADIUS, cy: 0, r: 15 }));
    this.hub = [["turn", -12], ["hook", 12], ["who", 31]].map(([name, y]) => make("text", { class: `hub-${name}`, y }));
    svg.append(this.marker, this.beads, ...this.hub);
    this.root.replaceChildren(svg);
  }

  drawStation(name, angle) {
    const x = Math.cos(angle), y = Math.sin(angle), flat = Math.abs(x) < 0.3;
    const text = make("text", { x: (RADIUS + 20) * x, y: (RADIUS + (flat ? 24 : 12)) * y + (flat ? (y < 0 ? 8 : 6) : 4),
      "text-anchor": flat ? "middle" : x < 0 ? "end" : "start" }, word(`st.${name}`));
    const dot = make("circle", { cx: RADIUS * x, cy: RADIUS * y, r: 9 });
    const node = make("g", { class: "station", "data-name": name }, dot, text);
    this.stations.set(name, node);
    return node;
  }

  // Which way round.
  arrow() {
    const angle = -Math.PI / 2 + Math.PI / this.names.length, r = RADIUS;
    const place = `translate(${r * Math.cos(angle)} ${r * Math.sin(angle)}) rotate(${(angle * 180) / Math.PI + 90})`;
    return make("path", { class: "arrow", transform: place, d: "M-5 -6L6 0L-5 6" });
  }

  // Beads of one station follow it on the circle; where there are many, those around the current one.
  drawBeads(current) {
    const { turn } = this.player, groups = new Map();
    for (const hook of turn.hooks) {
      const name = this.station(hook);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(hook);
    }
    this.places = new Map();
    const nodes = [];
    for (const [name, hooks] of groups) {
      const here = Math.max(0, hooks.indexOf(current));
      const from = Math.max(0, Math.min(here - BEADS / 2, hooks.length - BEADS)), shown = hooks.slice(from, from + BEADS);
      const span = (2 * Math.PI) / this.names.length - 0.32;
      shown.forEach((hook, at) => {
        const angle = this.angles.get(name) + 0.22 + (span * (at + 0.5)) / Math.max(3, shown.length);
        this.places.set(hook, angle);
        const hidden = this.player.hidesFuture() && hook.enter > this.player.at;
        if (!hidden) nodes.push(this.bead(hook, angle, current));
      });
    }
    this.beads.replaceChildren(...nodes);
  }

  bead(hook, angle, current) {
    const x = RADIUS * Math.cos(angle), y = RADIUS * Math.sin(angle);
    const state = hook === current ? " on" : hook.exit < this.player.at ? " past" : "";
    const bead = make("circle", { class: `bead c-${colourOf(hook)}${state}`, cx: x, cy: y, r: hook === current ? 10 : 7,
      click: () => this.player.go(hook.enter) });
    bead.append(make("title", {}, `${hook.name} ${this.player.model.label(hook.life)}`));
    return bead;
  }

  angleOfBead(hook) {
    return hook ? this.places.get(hook) : undefined;
  }
}

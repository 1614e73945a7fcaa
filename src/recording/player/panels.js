// The table of channels, the steps of a turn, the findings and the source.

const MOST_ROWS = 24, MOST_STEPS = 60;
const COLUMNS = ["key", "type", "client", "fd", "peer", "state", "in", "out", "watch"];

class ChannelTable {
  constructor(table, more, player) {
    Object.assign(this, { table, more, player });
  }

  draw() {
    const { model, at, turn } = this.player, open = model.openAt(at);
    const died = model.recording.lives.filter((life) => life.died <= at && life.died >= turn.first);
    const busy = new Set([...turn.keys, ...turn.hooks.map((hook) => hook.life)]);
    let rows = [...open, ...died];
    if (rows.length > MOST_ROWS) rows = rows.sort((one, other) => busy.has(other) - busy.has(one)).slice(0, MOST_ROWS);
    rows.sort(bySlot);
    const hidden = open.length + died.length - rows.length;
    const shown = COLUMNS.filter((name) => (name !== "client" || model.recording.clients.size)
      && (name !== "watch" || model.recording.tells.has("register")) && (name !== "fd" || model.hasDescriptors)
      && (name !== "state" || model.hasStates));
    const titles = shown.map((name) => make("th", { scope: "col", class: `c-${name}` }, word(`col.${name}`)));
    const body = make("tbody", {}, ...rows.map((life) => this.row(life, shown)));
    this.table.replaceChildren(make("thead", {}, make("tr", {}, ...titles)), body);
    this.more.textContent = hidden > 0 ? word("more", whole(hidden)) : rows.length ? "" : word("none");
  }

  row(life, shown) {
    const { model, at } = this.player, state = model.stateAt(life, at), before = model.stateAt(life, at - 1);
    const isNew = life.born === at, now = life === this.player.life;
    const texts = this.texts(life, state), old = this.texts(life, before);
    const cells = shown.map((name) => {
      const changed = now && !isNew && texts[name] !== old[name] ? " changed" : "";
      return name === "key" ? make("th", { class: "c-key", scope: "row" }, this.keyButton(life))
        : make("td", { class: `c-${name}${changed}` }, texts[name]);
    });
    return make("tr", { class: `${now ? "now" : ""}${isNew ? " fresh" : ""}${state.closed ? " gone" : ""}` }, ...cells);
  }

  keyButton(life) {
    const label = `${this.player.model.label(life)}: ${word("toHook")}`;
    return make("button", { type: "button", class: "link", title: word("toHook"), "aria-label": label,
      click: () => this.player.goToNextHook(life) }, life.key);
  }

  texts(life, state) {
    const { model } = this.player;
    return {
      key: life.key, type: model.name(life.type) || "–", client: life.client || "–", fd: life.fd === null ? "–" : String(life.fd),
      peer: life.peer || "–", state: state.closed ? word("closed") : state.state || "–", in: state.read ? size(state.read) : "–",
      out: state.written ? size(state.written) : "–", watch: state.watch === null ? "–" : word(`watch.${state.watch & 3}`),
    };
  }
}

class StepList {
  constructor(list, player) {
    Object.assign(this, { list, player, shown: "" });
  }

  draw() {
    const { model, turn, at } = this.player;
    const last = this.player.hidesFuture() ? at : turn.last - 1;
    let steps = model.steps.slice(model.stepAt(turn.first), model.stepAt(last) + 1).filter((step) => step >= turn.first);
    const here = Math.max(0, steps.indexOf(at)), from = Math.max(0, Math.min(here - MOST_STEPS / 2, steps.length - MOST_STEPS));
    steps = steps.slice(from, from + MOST_STEPS);
    const shown = `${language} ${steps[0]} ${steps.length} ${model.recording.count}`;
    if (shown !== this.shown || this.model !== model) {
      this.list.replaceChildren(...steps.map((step) => this.line(step)));
      this.list.scrollTop = 0;
    }
    Object.assign(this, { shown, model });
    for (const button of this.list.querySelectorAll("button")) {
      const isHere = Number(button.dataset.step) === at;
      button.toggleAttribute("aria-current", isHere);
      if (isHere) {
        button.setAttribute("aria-current", "step");
        showInside(this.list, button);
      }
    }
  }

  line(step) {
    const { model } = this.player, hook = model.hooks[model.hookOf[step]];
    const inside = hook && step > hook.enter && step < hook.exit;
    return make("li", { class: `${inside ? "inside" : ""}${hook ? ` edge c-${colourOf(hook)}` : ""}` },
      make("button", { type: "button", "data-step": step, click: () => this.player.go(step) }, sentence(model, step)));
  }
}

function drawFindings(list, player) {
  const entry = (finding) => {
    const { severity, turn, text, kind, cure } = finding, known = ["critical", "warning"].includes(severity) ? severity : "note";
    return make("li", {}, make("button", { type: "button", click: () => player.goToFinding(finding) },
      make("b", { class: `badge ${known}` }, word(`severity.${known}`)), " ",
      make("span", { class: "soft" }, turn === undefined || turn === null ? "" : `${word("turn")} ${whole(turn)} `),
      make("span", {}, text || kind || ""), cure ? make("span", { class: "cure soft" }, cure) : null));
  };
  // Without a list, nobody has looked for any.
  list.closest("section").hidden = !player.wasExamined;
  list.replaceChildren(...(player.findings.length ? player.findings.map(entry) : [make("li", { class: "soft" }, word("findings.none"))]));
}

// Scrolls a box, and not the page, until a part of it can be seen.
function showInside(box, node, margin = 0) {
  const top = node.getBoundingClientRect().top - box.getBoundingClientRect().top + box.scrollTop;
  if (top - margin < box.scrollTop || top + node.offsetHeight + margin > box.scrollTop + box.clientHeight)
    box.scrollTop = Math.max(0, top - Math.max(margin, box.clientHeight / 4));
}

const KEYWORDS = `fn let mut if else for while loop match return impl struct enum use mod pub self Self break continue const move
  async await true false in as dyn where trait type`.split(/\s+/);
// A comment, a text, or a keyword of Rust.
const RUST = new RegExp(String.raw`(//.*$)|("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])')|\b(?:${KEYWORDS.join("|")})\b`, "gm");
const PYTHON_KEYWORDS = `def class return if elif else for while in not and or is import from as with try except finally raise pass
  break continue lambda yield global nonlocal async await None True False self`.split(/\s+/);
const PYTHON = new RegExp(String.raw`(#.*$)|("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\b(?:${PYTHON_KEYWORDS.join("|")})\b`, "gm");
const IS_PYTHON = /^(?:import|from|def|class) .*$|^#!.*python/m;
// Where a program makes the system calls that are hooks of a recording from outside.
const CALL_LINES = { accept: /\baccept\(/, recv: /\brecv(?:from|_into)?\(|\.read\(/, send: /\bsend(?:all)?\(|\bwrite(?:_all)?\(/,
  sleep: /\bsleep\(/, "wait for a thread": /\.join\(|\.wait\(/, "wait for a child": /\.join\(|\bwait\w*\(/ };

class SourceView {
  constructor(box, name, player) {
    Object.assign(this, { box, name, player, text: null, cache: new Map() });
  }

  draw() {
    const { model, hook, at } = this.player, text = this.player.source;
    this.box.closest("section").hidden = !text;
    if (!text) return;
    if (text !== this.text) this.fill(text);
    const waits = model.recording.kind[at] === KIND.Wait;
    const range = hook ? this.ofHook(hook) : waits ? this.wait() : null;
    this.name.textContent = hook && range ? (model.fromOutside ? hook.name : `fn ${hook.name}`) : "";
    const [from, to] = range || [0, -1];
    this.lines.forEach((line, number) => line.classList.toggle("on", number >= from && number <= to));
    if (range) showInside(this.box, this.lines[range[0]], 20);
  }

  // The poll of a task is written by the compiler.
  ofHook({ life, name }) {
    if (this.player.model.fromOutside) return this.line(CALL_LINES[name] || null);
    return life && life.isTask ? null : this.find(this.player.model.name(life ? life.type : 0), name);
  }

  fill(text) {
    this.text = text;
    this.cache.clear();
    this.raw = text.replace(/\n$/, "").split("\n");
    const code = IS_PYTHON.test(text) ? PYTHON : RUST;
    this.lines = this.raw.map((line) => make("li", {}, ...coloured(line, code)));
    this.box.replaceChildren(make("ol", {}, ...this.lines));
  }

  // The lines of `fn hook` inside of `impl … for type`, or of the first such function.
  find(type, hook) {
    const key = `${type} ${hook}`;
    if (!this.cache.has(key)) this.cache.set(key, this.search(type, hook));
    return this.cache.get(key);
  }

  search(type, hook) {
    const word = (text) => text.replace(/[^\w]/g, "");
    const block = new RegExp(`^\\s*impl\\b.*\\bfor\\s+${word(type)}\\b`);
    const own = new RegExp(`^\\s*impl\\b[^{]*\\b${word(type)}\\b`);
    const name = new RegExp(`\\bfn\\s+${word(hook)}\\b`);
    const within = (from, to) => {
      for (let at = from; at <= to; at++) if (name.test(this.raw[at])) return [at, this.blockEnd(at)];
      return null;
    };
    for (const pattern of type ? [block, own] : [])
      for (let at = 0; at < this.raw.length; at++) {
        const found = pattern.test(this.raw[at]) && within(at, this.blockEnd(at));
        if (found) return found;
      }
    return within(0, this.raw.length - 1);
  }

  // The line with the brace that closes the block which begins here. Braces in texts and comments do not count.
  blockEnd(from) {
    let depth = 0;
    for (let at = from; at < this.raw.length; at++) {
      const code = this.raw[at].replace(RUST, (all, comment, text) => (comment || text ? "" : all));
      for (const sign of code) {
        if (sign === "{") depth++;
        if (sign === "}" && --depth <= 0) return at;
      }
    }
    return from;
  }

  // The first line of the code that a pattern matches, and that is no definition.
  line(pattern) {
    const at = pattern ? this.raw.findIndex((line) => pattern.test(line) && !/^\s*(\/\/|#|use |pub fn |fn |def )/.test(line)) : -1;
    return at < 0 ? null : [at, at];
  }

  // The line that waits.
  wait() {
    if (this.player.model.blocks) return this.line(CALL_LINES.accept);
    for (const pattern of [/\.(poll|wait|select|turn)\(|\b(poll|select)::|\bselect\(/, /\.run\(|\bblock_on\(/]) {
      const found = this.line(pattern);
      if (found) return found;
    }
    return null;
  }
}

function coloured(line, code) {
  const parts = [];
  let from = 0;
  for (const match of line.matchAll(code)) {
    const kind = match[1] ? "comment" : match[2] ? "string" : "keyword";
    parts.push(line.slice(from, match.index), make("span", { class: kind }, match[0]));
    from = match.index + match[0].length;
  }
  parts.push(line.slice(from));
  return parts.filter(Boolean);
}

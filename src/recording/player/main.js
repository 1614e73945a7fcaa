// The page: reads its recordings, and shows one of them or all side by side.

const $ = (id) => document.getElementById(id);

class Page {
  constructor(data) {
    this.data = data;
    this.players = [];
    this.player = null;
    this.current = -1;
    this.controls = new Controls(this);
    // One form for the questions of all recordings.
    $("quiz").addEventListener("submit", (event) => {
      event.preventDefault();
      this.player.quiz.answer();
    });
  }

  add(player) {
    player.quiz = new Quiz($("quiz"), player);
    this.players.push(player);
  }

  // Shows a recording, or all of them side by side (-1).
  open(at) {
    this.controls.play(false);
    this.current = at;
    this.player = this.players[at] || null;
    $("compare").hidden = at >= 0;
    $("one").hidden = $("foot").hidden = !this.player;
    const shown = this.player || this.players[0];
    chooseVariant(!shown || !shown.model.fromOutside ? "" : shown.model.blocks ? "thread" : "outside");
    if (this.player) this.build(this.player);
    this.draw();
  }

  build(player) {
    player.quiz.language = "";
    const overview = this.overview || (this.overview = new Overview($("overview"), player));
    const closeup = this.closeup || (this.closeup = new CloseUp($("closeup"), player));
    overview.player = closeup.player = player;
    const ring = new Ring($("ring"), player), table = new ChannelTable($("slab"), $("slab-more"), player);
    const steps = new StepList($("steps"), player), source = new SourceView($("source"), $("source-name"), player);
    player.views = [() => {
      if (player.isEmpty) return this.sayEmpty();
      const colours = palette();
      this.controls.update(player);
      this.tell(player);
      for (const view of [overview, closeup]) view.draw(colours);
      for (const view of [ring, table, steps, source]) view.draw();
    }];
  }

  draw() {
    translate(document);
    for (const button of document.querySelectorAll("[data-language]"))
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    this.drawTabs();
    if (!this.players.length) return;
    this.describe(this.player || this.players[0]);
    if (this.player) {
      this.controls.fill(this.player);
      drawFindings($("findings"), this.player);
      drawLegend($("colours"), this.player.model);
      this.player.show();
    } else {
      drawCompare($("compare-table"), $("compare-strips"), this.players, (at) => this.open(at));
    }
  }

  describe(player) {
    const { recording, began, ended, turns } = player.model, several = this.current < 0;
    const turnsHere = turns.filter((turn) => turn.turnAt >= 0).length;
    document.title = `${several ? word("tab.compare") : player.title} · ${word("page.kind")}`;
    $("program").textContent = several ? word("tab.compare") : player.title;
    const facts = word("facts", word("n.turns", turnsHere), duration(ended - began), word("n.records", recording.count));
    $("facts").textContent = several ? word("cmp.kind") : [word("page.kind"), recording.facts.loop, facts].filter(Boolean).join(" · ");
    $("command").hidden = several || !player.command;
    $("command").firstChild.textContent = player.command;
    $("slab-kind").textContent = recording.keys === "slab" ? word("slab") : "";
  }

  drawTabs() {
    const tabs = $("tabs"), titles = [[-1, word("tab.compare")], ...this.players.map((player, at) => [at, player.title])];
    tabs.hidden = this.players.length < 2;
    tabs.replaceChildren(...titles.map(([at, title]) => {
      const isOpen = at === this.current;
      return make("button", { type: "button", role: "tab", "aria-selected": String(isOpen), tabindex: isOpen ? 0 : -1,
        click: () => this.open(at) }, title);
    }));
    tabs.onkeydown = (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      this.open((this.current + 1 + by + titles.length) % titles.length - 1);
      tabs.querySelector("[aria-selected=true]").focus();
    };
  }

  tell(player) {
    const { turn, at, model } = player, text = sentence(model, at), ofTurn = turnSentence(turn, model);
    $("turn-line").textContent = text === ofTurn ? "" : player.hidesFuture() ? "" : ofTurn;
    if ($("sentence").textContent !== text) $("sentence").textContent = text;
    const strip = $("overview");
    strip.setAttribute("aria-label", word("strip"));
    strip.setAttribute("aria-valuemax", String(model.turns.length - 1));
    strip.setAttribute("aria-valuenow", String(turn.at));
    strip.setAttribute("aria-valuetext", ofTurn);
  }

  sayEmpty() {
    $("turn-line").textContent = "";
    $("sentence").textContent = word(this.data.live ? "live.empty" : "empty");
  }

  // A recording from the program that serves this page.
  receive(bytes) {
    try {
      if (this.players.length) this.players[0].renew(bytes);
      else this.add(new Player({ title: this.data.title || "live", bytes, live: true }));
      this.open(0);
    } catch (error) {
      this.complain(this.data.title || "live", error);
    }
  }

  complain(title, error) {
    $("trouble").hidden = false;
    $("trouble").textContent = word("bad", title, error.message);
  }
}

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// `#turn=10&lang=ru` and `?lang=ru`: the address can name a language, a recording (from 1) and a turn.
function wishes() {
  const all = new URLSearchParams(location.search);
  new URLSearchParams(location.hash.slice(1)).forEach((value, name) => all.set(name, value));
  return all;
}

async function begin() {
  const data = JSON.parse($("data").textContent), wanted = wishes();
  chooseLanguage(wanted.get("lang") || (navigator.language || "en").slice(0, 2));
  const page = new Page(data);
  for (const [at, one] of data.recordings.entries()) {
    try {
      page.add(new Player({ ...one, bytes: await unpack(one.data), findings: (data.findings || [])[at], live: data.live }));
    } catch (error) {
      page.complain(one.title, error);
    }
  }
  for (const button of document.querySelectorAll("[data-language]"))
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
      page.draw();
    });
  const first = Number(wanted.get("rec") || (page.players.length > 1 ? 0 : 1)) - 1;
  page.open(first);
  if (page.player && wanted.has("turn")) page.player.goToTurn(Number(wanted.get("turn")));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.draw());
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width !== innerWidth) page.draw();
    width = innerWidth;
  });
  if (data.live && location.protocol.startsWith("http"))
    new Live($("live"), data.scenarios || [], (bytes) => page.receive(bytes));
  document.documentElement.dataset.shown = String(Math.round(performance.now()));
}

begin();

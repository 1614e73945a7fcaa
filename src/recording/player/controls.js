// Buttons and keys, and what plays by itself.

const SPEEDS = [1, 2, 5, 10, 30];
// Channels that can be chosen from a list.
const MOST_CHOICES = 500;
const KEYS = [["←  →", "keys.step"], ["⇧←  ⇧→", "keys.turn"], ["␣", "keys.play"], ["Home  End", "keys.ends"],
  ["L", "keys.longest"], ["F", "keys.finding"], ["A", "keys.ask"]];
// Keys → actions; `*` is the ending for a turn where Shift is held.
const PRESSED = { ArrowLeft: "prev*", ArrowRight: "next*", " ": "play", Home: "first", End: "last", l: "longest", f: "finding", a: "ask" };

class Controls {
  constructor(page) {
    this.page = page;
    this.timer = 0;
    this.speed = 2;
    this.actions = {
      first: (player) => player.goToEnd(false), last: (player) => player.goToEnd(true),
      prev: (player) => player.step(-1), next: (player) => player.step(1),
      prevTurn: (player) => player.stepTurn(-1), nextTurn: (player) => player.stepTurn(1),
      longest: (player) => player.goToLongest(), finding: (player) => player.goToNextFinding(),
      ask: (player) => this.ask(player), play: () => this.play(!this.timer),
    };
    for (const button of document.querySelectorAll("[data-do]"))
      button.addEventListener("click", () => this.act(button.dataset.do));
    document.addEventListener("keydown", (event) => this.press(event));
    const speed = document.getElementById("speed");
    speed.addEventListener("change", () => {
      this.speed = Number(speed.value);
      if (this.timer) this.play(true);
    });
    const connection = document.getElementById("connection");
    connection.addEventListener("change", () => {
      if (connection.value) this.page.player.goToLife(Number(connection.value));
      connection.value = "";
    });
  }

  act(name) {
    const { player } = this.page;
    if (!player || player.isEmpty) return;
    if (name !== "play") this.play(false);
    this.actions[name](player);
  }

  ask(player) {
    player.quiz.toggle();
    player.show();
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = 0;
    const { player } = this.page;
    if (on && player && !player.isEmpty)
      this.timer = setInterval(() => (player.hidesFuture() || !player.step(1)) && this.play(false), 1000 / this.speed);
    const button = document.querySelector("[data-do=play]");
    button.dataset.t = this.timer ? "pause" : "play";
    button.textContent = word(button.dataset.t);
    // A voice could not follow.
    document.getElementById("sentence").setAttribute("aria-live", this.timer ? "off" : "polite");
  }

  press(event) {
    const place = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("one").hidden) return;
    // These have their own use of the keys.
    if (place.matches("select, input, textarea") || place.closest("[role=tablist]")) return;
    if (event.key === " " && place.matches("button, a, summary")) return;
    const name = PRESSED[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!name) return;
    event.preventDefault();
    this.act(name.replace("*", event.shiftKey ? "Turn" : ""));
  }

  // Words and choices of this recording, in this language.
  fill(player) {
    const speed = document.getElementById("speed"), connection = document.getElementById("connection");
    speed.replaceChildren(...SPEEDS.map((value) =>
      make("option", { value, selected: value === this.speed }, word("speed.unit", value))));
    const lives = player.model.recording.lives.filter((life) => life.type || life.peer || life.client).slice(0, MOST_CHOICES);
    const title = (life) => who(player.model, life) + (life.peer ? ` · ${life.peer}` : "");
    connection.replaceChildren(make("option", { value: "" }, word("connection")),
      ...lives.map((life) => make("option", { value: life.id }, title(life))));
    document.querySelector("[data-do=ask]").disabled = player.model.blocks;
    document.querySelector("[data-do=finding]").disabled = !player.findings.length;
    document.getElementById("keys").replaceChildren(...KEYS.map(([keys, text]) => make("div", {},
      make("dt", {}, ...keys.split("  ").map((key) => make("kbd", {}, key))), make("dd", {}, word(text)))));
  }

  update(player) {
    document.querySelector("[data-do=ask]").setAttribute("aria-pressed", String(player.quiz.on));
    const { model } = player, place = word("position", whole(model.stepAt(player.at) + 1), whole(model.steps.length));
    document.getElementById("position").textContent = place;
  }
}

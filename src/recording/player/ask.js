// Ask me: before each wait, which keys will it return, and how long will it take? The answer is what happened.

// The ends of the ranges of time that can be chosen.
const TIMES = [50e3, 1e6, 20e6, 500e6, Infinity];
const MOST_KEYS = 12;

class Quiz {
  constructor(form, player) {
    Object.assign(this, { form, player, on: false, asked: null, right: 0, total: 0, answered: new Set() });
  }

  toggle() {
    this.on = !this.on;
    Object.assign(this, { asked: null, right: 0, total: 0 });
    this.answered.clear();
    if (this.on) this.toNextWait();
  }

  // Whether the player has to hide what comes after this record.
  isOpen() {
    return this.on && this.asked !== null && !this.answered.has(this.asked);
  }

  canAsk(turn) {
    return turn && turn.waitAt >= 0 && turn.turnAt >= 0 && !this.player.model.blocks;
  }

  // Called when the player has come to a record.
  arrive() {
    const { turn, at } = this.player;
    const here = this.on && this.canAsk(turn) && at === turn.waitAt ? turn.at : null;
    if (here === this.asked && !this.form.hidden === (here !== null) && this.language === language) return;
    this.asked = here;
    this.language = language;
    this.form.hidden = here === null;
    if (here !== null) this.build(turn);
  }

  toNextWait() {
    const { model, turn, at } = this.player;
    let next = turn.at + (at > turn.waitAt ? 1 : 0);
    while (next < model.turns.length && (!this.canAsk(model.turns[next]) || this.answered.has(next))) next++;
    if (next < model.turns.length) this.player.go(model.turns[next].waitAt);
  }

  // The channels to choose from: all, or those that were returned and some others.
  choices(turn) {
    const open = this.player.model.openAt(turn.waitAt), real = turn.keys.filter((life) => open.includes(life));
    const others = open.filter((life) => !real.includes(life));
    const room = Math.max(3, MOST_KEYS - real.length);
    return [...real.slice(0, MOST_KEYS), ...others.slice(0, room)].sort(bySlot);
  }

  build(turn) {
    const { model } = this.player, name = `time${turn.at}`;
    const choice = (attributes, text) => make("label", {}, make("input", attributes), ` ${text}`);
    const keys = this.choices(turn).map((life) => choice({ type: "checkbox", value: life.id }, who(model, life)));
    const none = choice({ type: "checkbox", value: "none" }, word("ask.nobody"));
    const times = TIMES.map((_, at) => choice({ type: "radio", name, value: at, required: true }, word(`ask.${at}`)));
    this.result = make("p", { class: "result", role: "status" });
    this.button = make("button", { type: "submit", class: "main" }, word("ask.go"));
    this.form.replaceChildren(
      make("fieldset", {}, make("legend", {}, word("ask.q", whole(turn.number))), ...keys, none),
      make("fieldset", {}, make("legend", {}, word("ask.time")), ...times),
      make("div", { class: "row" }, this.button, this.result));
    if (this.answered.has(turn.at)) this.reveal(turn);
  }

  answer() {
    const turn = this.player.model.turns[this.asked];
    if (this.answered.has(turn.at)) return this.toNextWait();
    const chosen = [...this.form.querySelectorAll("input:checked")].map((input) => input.value);
    const time = Number(this.form.querySelector("input[type=radio]:checked").value);
    const keys = chosen.slice(0, -1).filter((value) => value !== "none").map(Number).sort();
    const wanted = this.wanted(turn);
    const same = keys.length === wanted.length && keys.every((id) => wanted.includes(id));
    const isRight = [same && (keys.length > 0 || chosen.includes("none")), time === this.range(turn)];
    this.total += 2;
    this.right += isRight.filter(Boolean).length;
    this.answered.add(turn.at);
    this.verdict = isRight.every(Boolean) ? word("ask.right") : word("ask.wrong");
    this.reveal(turn);
    this.player.show();
  }

  wanted(turn) {
    const open = new Set(this.choices(turn));
    return turn.keys.filter((life) => open.has(life)).map((life) => life.id);
  }

  range(turn) {
    return TIMES.findIndex((end) => turn.turned - turn.began < end);
  }

  reveal(turn) {
    const { model } = this.player, wanted = this.wanted(turn), range = this.range(turn);
    for (const input of this.form.querySelectorAll("input")) {
      const isKey = input.type === "checkbox", value = input.value === "none" ? "none" : Number(input.value);
      const isTrue = isKey ? (value === "none" ? !wanted.length : wanted.includes(value)) : value === range;
      input.disabled = true;
      input.parentNode.className = isTrue ? "true" : input.checked ? "false" : "";
    }
    const names = turn.keys.map((life) => model.label(life)).join(", ") || word("ask.nothing");
    this.result.textContent = [this.verdict, word("ask.was", names, duration(turn.turned - turn.began), duration(turn.planned)),
      word("ask.score", this.right, this.total)].filter(Boolean).join(" ");
    this.button.textContent = word("ask.on");
    this.button.focus();
  }
}

// One recording, and the place in it that the page shows.

class Player {
  constructor({ title, command, source, bytes, findings, live }) {
    Object.assign(this, { title, command: command || "", findings: findings || [], own: source || "", live: Boolean(live) });
    this.wasExamined = Boolean(findings);
    Object.assign(this, { at: 0, views: [], quiz: null, finding: -1 });
    this.take(bytes);
  }

  take(bytes) {
    const recording = parseRecording(bytes);
    if (this.live) withoutPauses(recording);
    this.model = new Model(recording);
    this.source = this.own || this.model.recording.source;
    this.at = this.model.steps[0] || 0;
  }

  // A newer recording of the same program: the place is its end.
  renew(bytes) {
    this.take(bytes);
    this.at = this.model.steps[this.model.steps.length - 1] || 0;
    this.show();
  }

  get isEmpty() {
    return !this.model.steps.length;
  }

  get turn() {
    return this.model.turns[this.model.turnOf[this.at]];
  }

  // The hook that runs at this place.
  get hook() {
    return this.model.hooks[this.model.hookOf[this.at]] || null;
  }

  // The channel that this step is about.
  get life() {
    return this.model.recording.lives[this.model.recording.life[this.at]] || (this.hook && this.hook.life) || null;
  }

  hidesFuture() {
    return Boolean(this.quiz && this.quiz.isOpen());
  }

  go(record) {
    const { steps } = this.model;
    if (!steps.length) return;
    this.at = steps[this.model.stepAt(Math.max(0, record))];
    this.show();
  }

  show() {
    if (this.quiz) this.quiz.arrive();
    for (const view of this.views) view();
  }

  step(by) {
    const { steps } = this.model, now = this.model.stepAt(this.at), next = Math.max(0, Math.min(steps.length - 1, now + by));
    this.go(steps[next]);
    return next !== now;
  }

  // Backwards, the beginning of this turn comes first.
  stepTurn(by) {
    const { turns, steps } = this.model, turn = this.turn;
    const isInside = this.at > steps[this.model.stepAt(turn.first)];
    const next = by < 0 && isInside ? turn.at : turn.at + by;
    this.go(turns[Math.max(0, Math.min(turns.length - 1, next))].first);
  }

  goToTurn(number) {
    const turn = this.model.turns[this.model.turnNumbered(number)];
    if (turn) this.go(turn.first);
  }

  goToEnd(last) {
    const { steps } = this.model;
    this.go(last ? steps[steps.length - 1] : steps[0]);
  }

  goToTime(time) {
    const turn = this.model.turns[this.model.turnAtTime(time)];
    if (!turn) return;
    const hook = turn.hooks.filter((one) => one.began <= time).pop();
    this.go(time < turn.turned || turn.turnAt < 0 ? turn.first : hook ? hook.enter : turn.turnAt);
  }

  goToLongest() {
    const turn = this.model.turns[this.model.longestTurn()];
    if (!turn) return;
    const hook = [...turn.hooks].sort((one, other) => other.length - one.length)[0];
    this.go(hook ? hook.exit : turn.first);
  }

  turnOfFinding(finding) {
    const at = finding.turn === undefined || finding.turn === null ? -1 : this.model.turnNumbered(Number(finding.turn));
    if (at >= 0 || finding.time === undefined || finding.time === null) return at;
    return this.model.turnAtTime(Number(finding.time));
  }

  // The hook of the finding's channel, if its turn has one.
  goToFinding(finding) {
    const turn = this.model.turns[this.turnOfFinding(finding)];
    if (!turn) return;
    this.finding = this.findings.indexOf(finding);
    const own = turn.hooks.filter((hook) => hook.life && finding.key && String(hook.life.key) === String(finding.key));
    const slowest = own.sort((one, other) => other.length - one.length)[0];
    this.go(slowest ? slowest.exit : turn.turnAt >= 0 ? turn.turnAt : turn.first);
  }

  goToNextFinding() {
    if (this.findings.length) this.goToFinding(this.findings[(this.finding + 1) % this.findings.length]);
  }

  // The next hook of a channel; after the last one, the first.
  goToNextHook(life) {
    const own = this.model.hooks.filter((hook) => hook.life === life);
    const next = own.find((hook) => hook.enter > this.at) || own[0];
    if (next) this.go(next.enter);
  }

  goToLife(id) {
    const { recording } = this.model, life = recording.lives[id];
    if (life) this.go(life.born >= 0 ? life.born : recording.life.indexOf(id));
  }
}
